"""Records of import operations."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from records.contract import ManualClock
from support.fake_imports import make_operation

from downloadd.errors import StorageError
from downloadd.import_operation import (
    FINISHED_STATES,
    PENDING_FILES,
    Channel,
    FileCounts,
    FileLink,
    ImportErrorCode,
    ImportOperation,
    ImportState,
    PendingRequest,
    Selection,
)
from downloadd.records.import_operations import (
    STORED_ERROR_CODES,
    STORED_STATES,
    decode_operation,
    encode_operation,
)
from downloadd.records.import_protocol import ImportRecords
from downloadd.records.sqlite import SqliteRecords

_TEXT = st.text(max_size=20)
_COUNT = st.integers(0, 2**63 - 1)
OPERATIONS = st.builds(
    ImportOperation,
    id=_TEXT,
    kind=_TEXT,
    user=_TEXT,
    started_at=_COUNT,
    updated_at=_COUNT,
    state=st.sampled_from(ImportState),
    valid=st.booleans(),
    content_type=st.none() | _TEXT,
    name=st.text(st.characters(exclude_categories=()), max_size=20),
    download_id=st.none() | _TEXT,
    message_count=_COUNT,
    skipped=_COUNT,
    file_counts=st.builds(FileCounts, total=_COUNT, completed=_COUNT, failed=_COUNT, given_up=_COUNT),
    reason=st.none() | _TEXT,
    sources=st.lists(_TEXT, max_size=3).map(tuple),
    error_code=st.none() | st.sampled_from(ImportErrorCode),
)


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[ImportRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        yield opened.imports


@given(operation=OPERATIONS)
def test_decoding_a_row_returns_the_encoded_operation(operation: ImportOperation) -> None:
    assert decode_operation(encode_operation(operation)) == operation


def test_every_state_and_error_code_has_a_stored_word_of_its_own() -> None:
    assert set(STORED_STATES) == set(ImportState)
    assert set(STORED_ERROR_CODES) == set(ImportErrorCode)
    for words in (STORED_STATES, STORED_ERROR_CODES):
        assert len(set(words.values())) == len(words)


OLD_ROW = (
    *("MJxTRZsYdho8Ww2qq", "slack", "ann", 1, 2, "importer_import_failed", 1, "application/zip", "export.zip"),
    *(None, 3, 4, 5, 6, 7, "too long", "error-file-too-large", None, 8),
)


def test_a_row_of_an_earlier_version_is_decoded() -> None:
    operation = decode_operation(OLD_ROW)
    assert (operation.kind, operation.state, operation.error_code) == (
        "slack",
        ImportState.FAILED,
        ImportErrorCode.FILE_TOO_LARGE,
    )
    assert (operation.started_at, operation.updated_at, operation.name, operation.valid) == (1, 2, "export.zip", True)
    assert operation.file_counts == FileCounts(total=5, completed=6, failed=7, given_up=8)


def test_an_unknown_error_code_is_that_of_an_invalid_file() -> None:
    assert decode_operation((*OLD_ROW[:-3], "error-of-the-future", None, 0)).error_code is ImportErrorCode.INVALID_FILE


@pytest.mark.parametrize(("index", "value"), [(5, "x"), (5, None), (3, "x"), (12, 1.5), (1, None), (17, "[")])
def test_a_malformed_value_is_reported(index: int, value: object) -> None:
    row = (*OLD_ROW[:index], value, *OLD_ROW[index + 1 :])
    with pytest.raises(StorageError, match="import operation MJxTRZsYdho8Ww2qq"):
        decode_operation(row)


async def test_a_new_operation_makes_the_users_earlier_ones_invalid(records: ImportRecords) -> None:
    first, second, other = (make_operation(id=id, user=user) for id, user in (("a", "u"), ("b", "u"), ("c", "v")))
    for operation in (first, other, second):
        await records.operations.create(operation)
    assert await records.operations.get("a") == replace(first, valid=False)
    assert await records.operations.get("c") == other
    assert await records.operations.current("u") == second
    assert await records.operations.current("nobody") is None


async def test_an_invalid_operation_stays_invalid(records: ImportRecords) -> None:
    operation = make_operation(id="a")
    await records.operations.create(operation)
    await records.operations.create(make_operation(id="b"))
    await records.operations.save(replace(operation, state=ImportState.DONE))
    assert await records.operations.get("a") == replace(operation, state=ImportState.DONE, valid=False)


async def test_the_latest_operations_are_those_updated_last(records: ImportRecords) -> None:
    for number in range(5):
        await records.operations.create(make_operation(id=str(number), user=str(number), started_at=number))
    oldest = await records.operations.get("0")
    assert oldest is not None
    await records.operations.save(replace(oldest, updated_at=99))
    assert [one.id for one in await records.operations.latest(3)] == ["0", "4", "3"]


async def test_operations_to_continue_are_valid_and_unfinished_or_download_files(records: ImportRecords) -> None:
    for state in ImportState:
        await records.operations.create(make_operation(id=f"valid {state}", user=state, state=state))
        await records.operations.create(make_operation(id=f"invalid {state}", user=f"2 {state}", state=state))
        await records.operations.create(make_operation(id=f"newer {state}", user=f"2 {state}", state=ImportState.DONE))
    expected = {f"valid {state}" for state in set(ImportState) - FINISHED_STATES}
    assert {one.id for one in await records.operations.unfinished()} == {
        *expected,
        f"invalid {ImportState.DOWNLOADING}",
    }


async def test_the_sources_of_a_run_are_the_imports_of_its_files(records: ImportRecords) -> None:
    for id in ("a", "b"):
        await records.operations.create(make_operation(id=id))
        link = FileLink(file_id=id, url="http://h/", channel_id="c")
        await records.contents.add(id, [Channel(channel_id="c", name="c"), link])
    await records.contents.select("b", Selection(users=None, channels=None))
    await records.files.reserve("run", "u", PendingRequest(kind=PENDING_FILES))
    assert [one.id for one in await records.operations.sources("run")] == ["b"]
    await records.operations.create(replace(make_operation(id="run", kind=PENDING_FILES), sources=("a",)))
    assert [one.id for one in await records.operations.sources("run")] == ["a", "b"]
