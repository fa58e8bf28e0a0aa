"""The download and its ids."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sample_downloads import sample_download

from downloadd.download import Desired, is_created_before, join_path, log_fields, new_id
from downloadd.errors import (
    DownloadError,
    ErrorCode,
    NetworkError,
    NetworkErrorKind,
    RemoteError,
    RemoteFileNotFoundError,
    StorageError,
)

TIMES = st.floats(0, 2**37)


@given(TIMES, st.integers(0, 2**74 - 1))
def test_an_id_is_a_uuid_of_version_7(now: float, random: int) -> None:
    id = uuid.UUID(new_id(now, random))
    assert (id.version, id.variant) == (7, uuid.RFC_4122)
    assert id.int >> 80 == int(now * 1000)


@given(TIMES, st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_ids_grow_with_time(now: float, first: int, second: int) -> None:
    assert new_id(now, first) < new_id(now + 1, second)
    assert is_created_before(new_id(now, first), now + 1)
    assert not is_created_before(new_id(now, first), now)


@pytest.mark.parametrize(("directory", "path"), [("", "f"), ("a", "a/f"), ("a/b", "a/b/f")])
def test_a_path_has_a_slash_only_below_a_directory(directory: str, path: str) -> None:
    assert join_path(directory, "f") == path
    assert sample_download(directory=directory, filename="f").file_path == path


def test_a_change_of_one_part_leaves_the_others() -> None:
    before = sample_download()
    after = (
        before.with_request(segments=2)
        .with_control(desired=Desired.PAUSE)
        .with_progress(received=3)
        .with_result(error=ErrorCode.NETWORK_ERROR)
    )
    assert after.request.segments == 2
    assert after.control.desired is Desired.PAUSE
    assert after.progress.received == 3
    assert after.result.error is ErrorCode.NETWORK_ERROR
    assert (after.id, after.request.url, before.request.segments) == (before.id, before.request.url, 1)


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (NetworkError("cut", kind=NetworkErrorKind.CUT), (ErrorCode.NETWORK_ERROR, "cut", NetworkErrorKind.CUT, None)),
        (RemoteError(500), (ErrorCode.REMOTE_ERROR, "the origin answered 500", None, 500)),
        (
            RemoteFileNotFoundError(410),
            (ErrorCode.REMOTE_FILE_NOT_FOUND, "the origin answered 410", None, 410),
        ),
        (StorageError("disk"), (ErrorCode.STORAGE_ERROR, "disk", None, None)),
        (None, (None, None, None, None)),
    ],
)
def test_an_error_replaces_all_of_another_one(
    error: DownloadError | None, fields: tuple[str | int | None, ...]
) -> None:
    for before in (NetworkError("slow", kind=NetworkErrorKind.SLOW), RemoteError(503)):
        result = sample_download().with_error(before).with_error(error).result
        assert (result.error, result.detail, result.cause, result.origin_status) == fields


def test_log_fields_are_the_known_ids() -> None:
    download = sample_download(request_id="r")
    assert log_fields(download) == {"download_id": download.id, "request_id": "r"}
