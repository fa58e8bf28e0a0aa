"""A download as a row: every field has its column, and comes back."""

import msgspec
import pytest
from hypothesis import given
from records.contract import DOWNLOADS, asked

from downloadd.download import Download, Promise
from downloadd.errors import ErrorCode
from downloadd.records.rows import COLUMNS, FRESH, WRITTEN, bindable, decode, encode, encode_fresh
from downloadd.states import State


def test_every_field_has_a_column() -> None:
    fields = {field.name for field in msgspec.structs.fields(Download)}
    assert set(COLUMNS) == fields - {"url"} | {"secret_url"}
    assert len(set(COLUMNS)) == len(COLUMNS)


@given(download=DOWNLOADS)
def test_decode_undoes_encode(download: Download) -> None:
    row = encode(download, download.ended_seq)
    assert len(row) == len(WRITTEN)
    assert decode((0, *row)) == download
    assert decode((0, *bindable(row))) == download


TOUCHED = msgspec.structs.replace(
    asked(),
    epoch=1,
    attempt=1,
    failures=1,
    not_before=1.0,
    time_spent=1.0,
    received=1,
    total=0,
    validator="",
    part_name="",
    publishing=True,
    received_ranges="",
    moved=True,
    turn=1,
    coding="gzip",
    found_at="",
    promises=(Promise(source="Digest", checksum="md5=0"),),
    last_modified=0,
    content_type="",
    checksum="",
    error=ErrorCode.INTERNAL_ERROR,
    detail="",
    end_time=0,
)


@pytest.mark.parametrize("field", sorted(set(COLUMNS) - set(FRESH) - {"seq", "ended_seq"}))
def test_a_download_that_a_run_has_touched_is_not_fresh(field: str) -> None:
    assert encode_fresh(msgspec.structs.replace(asked(), **{field: getattr(TOUCHED, field)})) is None


def test_a_download_that_no_run_has_touched_is_fresh() -> None:
    assert encode_fresh(asked(state=State.PAUSED, filename="x", priority=5)) is not None
