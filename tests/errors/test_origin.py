import pytest

from downloadd.errors.base import DownloadError
from downloadd.errors.origin import (
    ChecksumMismatchError,
    DownloadTimeoutError,
    FileTooLargeError,
    NetworkError,
    ProbeTimeoutError,
    RemoteError,
    RemoteFileNotFoundError,
    TooManyRedirectsError,
    UnexpectedContentError,
)


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 502, 503, 504, 507, 511, 520, 530, 599])
def test_a_status_that_may_pass_is_transient(status: int) -> None:
    assert RemoteError(status).transient


@pytest.mark.parametrize("status", [202, 400, 401, 403, 405, 409, 451, 501, 505, 600])
def test_every_other_status_is_permanent_unless_declared_transient(status: int) -> None:
    assert not RemoteError(status).transient
    assert RemoteError(status, transient=True).transient


@pytest.mark.parametrize(("status", "transient"), [(202, True), (403, True), (204, False), (401, False), (501, False)])
def test_the_time_to_wait_makes_some_statuses_transient(status: int, transient: bool) -> None:
    assert RemoteError(status, retry_after=0).transient is transient


def test_a_network_error_is_transient_unless_its_cause_is_permanent() -> None:
    assert NetworkError("reset").transient
    assert not NetworkError("certificate expired", permanent=True).transient


def test_a_network_error_leaves_the_part_valid_unless_declared_otherwise() -> None:
    assert not NetworkError("reset").invalidates_part
    assert NetworkError("surplus", invalidates_part=True).invalidates_part


@pytest.mark.parametrize("error", [RemoteFileNotFoundError(410), RemoteError(410)])
def test_the_status_of_the_origin_is_apart_from_that_of_the_response(
    error: RemoteFileNotFoundError | RemoteError,
) -> None:
    assert error.origin_status == 410
    assert error.status == type(error).status != 410


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (RemoteFileNotFoundError(404), "the origin answered 404"),
        (RemoteError(418), "the origin answered 418"),
        (RemoteError(418, "a teapot"), "the origin answered 418: a teapot"),
        (TooManyRedirectsError(10), "the origin redirected more than 10 times"),
        (
            DownloadTimeoutError(1.5),
            "the download did not finish within its timeout of 1.5 s (downloads.timeout is the default)",
        ),
        (ProbeTimeoutError(30, has_started=True), "the probe ended after 30 s because the origin did not answer"),
        (ProbeTimeoutError(30, has_started=False), "the probe ended after 30 s because other probes were running"),
        (FileTooLargeError(99), "the file is larger than the limit of 99 bytes (downloads.max_size)"),
        (ChecksumMismatchError("md5=0", "md5=1"), "expected md5=0, received md5=1"),
        (
            ChecksumMismatchError("md5=0", "md5=1", source="Repr-Digest"),
            "the origin's Repr-Digest says md5=0, received md5=1",
        ),
        (UnexpectedContentError("the entry is damaged", hint="export again"), "the entry is damaged; export again"),
        (UnexpectedContentError("received 5 bytes"), "received 5 bytes; the link's token may be missing or expired"),
    ],
)
def test_the_detail_states_the_facts(error: DownloadError, detail: str) -> None:
    assert error.detail == detail
