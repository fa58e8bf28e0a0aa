"""Encoding and decoding of rows."""

from operator import attrgetter

import msgspec
import pytest
from hypothesis import given
from records.contract import DOWNLOADS, sample_download
from support.downloads import with_fields

from downloadd.attempt_options import AttemptOptions
from downloadd.download import Download, OriginDigest, ResumedBy, SupersededPart
from downloadd.errors import ErrorCode, NetworkErrorKind, StorageError
from downloadd.records.columns import INITIAL_COLUMNS, USER_COLUMNS, WRITTEN_COLUMNS
from downloadd.records.rows import (
    Row,
    decode,
    decode_struct,
    encode,
    encode_initial,
    encode_run,
    to_bindable,
    with_user_columns,
)
from downloadd.states import State


@given(download=DOWNLOADS)
def test_decoding_a_row_returns_the_encoded_download(download: Download) -> None:
    row = encode(download, download.result.ended_seq)
    assert len(row) == len(WRITTEN_COLUMNS)
    assert decode((0, *row)) == download
    assert decode((0, *to_bindable(row))) == download


STARTED_DOWNLOAD = with_fields(
    sample_download(),
    epoch=1,
    attempt=1,
    failures=1,
    not_before=1.0,
    retrying_since=1.0,
    time_spent=1.0,
    received=1,
    total=0,
    validator="",
    part_name="",
    publishing=True,
    received_ranges="",
    url_changed=True,
    source=1,
    coding="gzip",
    final_url_digest="",
    origin_digests=(OriginDigest(source="Digest", checksum="md5=0"),),
    last_modified=0,
    weak_tag="",
    resumed_by=ResumedBy.OVERLAP,
    superseded=SupersededPart(part_name="", received=1),
    strict_resume=True,
    content_type="",
    checksum="",
    error=ErrorCode.INTERNAL_ERROR,
    detail="",
    cause=NetworkErrorKind.CUT,
    origin_status=0,
    warning="",
    file_identity="",
    end_time=0,
    secrets_removed=True,
    cleared=True,
    resource="",
)


@pytest.mark.parametrize(
    "path", [column.path for column in WRITTEN_COLUMNS if column not in INITIAL_COLUMNS and column.name != "ended_seq"]
)
def test_a_download_with_a_field_of_a_run_is_not_initial(path: str) -> None:
    fresh = sample_download()
    touched = with_fields(fresh, **{path.rpartition(".")[2]: attrgetter(path)(STARTED_DOWNLOAD)})
    assert touched != fresh
    assert encode_initial(touched) is None


def test_a_download_without_a_run_is_initial() -> None:
    assert encode_initial(sample_download(state=State.PAUSED, filename="x", priority=5)) is not None


def test_the_values_of_users_replace_those_of_the_download() -> None:
    before = sample_download()
    after = before.with_control(priority=7).with_request(directory="ä", attempt_options=AttemptOptions(min_speed=3))
    (_, known), (_, changed) = encode_run(before), encode_run(after)
    assert with_user_columns(before, known, known) is before
    assert with_user_columns(before, changed, known) == after
    as_bytes = tuple(value.encode() if value == "ä" else value for value in changed)
    assert with_user_columns(before, as_bytes, known) == after


@pytest.mark.parametrize("value", [3.5, "{", b"\xff"])
def test_a_damaged_value_of_users_is_named(value: object) -> None:
    before = sample_download()
    _, known = encode_run(before)
    index = [column.name for column in USER_COLUMNS].index("attempt_options")
    with pytest.raises(StorageError, match=f"the row of download {before.id} .* is damaged"):
        with_user_columns(before, (*known[:index], value, *known[index + 1 :]), known)


class Sample(msgspec.Struct, frozen=True):
    count: int
    name: str
    is_open: bool = False


def test_the_values_of_a_row_become_the_fields_in_their_order() -> None:
    assert decode_struct((1, "Ärger".encode(), True), Sample, name=1, kind="sample") == Sample(1, "Ärger", True)
    assert decode_struct((1, "a", 1), Sample, name=1, kind="sample", strict=False) == Sample(1, "a", True)


@pytest.mark.parametrize(
    ("row", "reason"),
    [(("1", "a", True), "another type"), ((1, "a", 1), "another type"), ((1, b"a", b"\xff"), "not UTF-8")],
)
def test_a_row_with_a_value_of_another_type_is_named(row: Row, reason: str) -> None:
    with pytest.raises(StorageError, match=rf"the row of sample a .* is damaged \(.*{reason}"):
        decode_struct(row, Sample, name=1, kind="sample")
