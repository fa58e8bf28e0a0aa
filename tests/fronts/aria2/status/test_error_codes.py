"""Exit statuses of aria2 for the ends of downloads."""

from typing import Any

import pytest
from support.sample_downloads import sample_download

from downloadd.errors import ErrorCode, NetworkErrorKind, Occasion, codes_at
from downloadd.fronts.aria2.status.error_codes import (
    BY_CAUSE,
    BY_ORIGIN_STATUS,
    EXIT_STATUSES,
    ExitStatus,
    exit_status_of,
)
from downloadd.states import State

RETRIED_BY_ARIANG = {*range(1, 7), *range(8, 31), 32}
"""Codes for which AriaNg offers to retry."""


def exit_status(error: str | None, *, state: State = State.FAILED, **result: Any) -> int:
    code = None if error is None else ErrorCode(error)
    return int(exit_status_of(sample_download(state=state, error=code, **result)))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("INTERNAL_ERROR", 1),
        ("DOMAIN_BLOCKED", 1),
        ("FILE_TOO_LARGE", 1),
        ("INVALID_URL", 1),
        (None, 1),
        ("DOWNLOAD_TIMEOUT", 2),
        ("REMOTE_FILE_NOT_FOUND", 3),
        ("NETWORK_ERROR", 6),
        ("INSUFFICIENT_STORAGE", 9),
        ("FILE_EXISTS", 13),
        ("INVALID_PATH", 16),
        ("STORAGE_ERROR", 17),
        ("REMOTE_ERROR", 22),
        ("UNEXPECTED_CONTENT", 22),
        ("TOO_MANY_REDIRECTS", 23),
        ("CHECKSUM_MISMATCH", 32),
    ],
)
def test_each_error_has_an_exit_status(error: str | None, status: int) -> None:
    assert exit_status(error) == status


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (NetworkErrorKind.NAME, 19),
        (NetworkErrorKind.TIMEOUT, 2),
        (NetworkErrorKind.STALLED, 2),
        (NetworkErrorKind.SLOW, 5),
        (NetworkErrorKind.CONNECT, 6),
        (NetworkErrorKind.TLS, 6),
        (NetworkErrorKind.NO_RESPONSE, 6),
        (NetworkErrorKind.CUT, 6),
        (NetworkErrorKind.PROTOCOL, 6),
    ],
)
def test_a_network_error_is_told_by_its_cause(cause: NetworkErrorKind, status: int) -> None:
    assert exit_status("NETWORK_ERROR", cause=cause) == status
    assert exit_status("REMOTE_ERROR", cause=cause) == 22


@pytest.mark.parametrize(
    ("origin_status", "status"), [(401, 24), (407, 24), (403, 22), (429, 22), (500, 22), (503, 29)]
)
def test_a_remote_error_is_told_by_the_status_of_the_origin(origin_status: int, status: int) -> None:
    assert exit_status("REMOTE_ERROR", origin_status=origin_status) == status
    assert exit_status("NETWORK_ERROR", origin_status=origin_status) == 6


@pytest.mark.parametrize(
    ("state", "status"), [(State.COMPLETED, 0), (State.SKIPPED, 0), (State.CANCELLED, 31), (State.FAILED, 1)]
)
def test_an_end_without_error_has_one_too(state: State, status: int) -> None:
    assert exit_status(None, state=state) == status


def test_a_failed_download_can_be_retried_in_ariang() -> None:
    for code in {*codes_at(Occasion.END), *codes_at(Occasion.START)} - {ErrorCode.CANCELLED}:
        assert exit_status(code) in RETRIED_BY_ARIANG
    for status in {*EXIT_STATUSES.values(), *BY_CAUSE.values(), *BY_ORIGIN_STATUS.values()} - {ExitStatus.REMOVED}:
        assert status in RETRIED_BY_ARIANG
