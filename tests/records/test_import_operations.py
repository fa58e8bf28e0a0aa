"""Records of import operations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records.contracts.import_operations import ImportOperationContract
from support.fake_imports import make_operation
from support.stores import OpenStore

from downloadd.errors import StorageError
from downloadd.import_operation import FileCounts, ImportErrorCode, ImportOperation, ImportState
from downloadd.records.import_operations import (
    STORED_ERROR_CODES,
    STORED_STATES,
    decode_operation,
    encode_operation,
)

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
    not_before=st.none() | st.floats(allow_nan=False),
    epoch=_COUNT,
)


class TestSqliteImportOperations(ImportOperationContract):
    """The contract, kept by SQLite."""


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
    *(None, 3, 4, 5, 6, 7, "too long", "error-file-too-large", None, 8, None, 0),
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
    assert (
        decode_operation((*OLD_ROW[:-5], "error-of-the-future", None, 0, None, 0)).error_code
        is ImportErrorCode.INVALID_FILE
    )


@pytest.mark.parametrize(("index", "value"), [(5, "x"), (5, None), (3, "x"), (12, 1.5), (1, None), (17, "[")])
def test_a_malformed_value_is_reported(index: int, value: object) -> None:
    row = (*OLD_ROW[:index], value, *OLD_ROW[index + 1 :])
    with pytest.raises(StorageError, match="import operation MJxTRZsYdho8Ww2qq"):
        decode_operation(row)


async def test_a_start_fences_the_drivers_of_an_earlier_process(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.imports.operations.create(make_operation(id="a", user="ann", state=ImportState.DOWNLOADING))
        await store.imports.operations.create(make_operation(id="b", user="bob", state=ImportState.DONE))
    async with open_store() as store:
        operations = [await store.imports.operations.get(id) for id in ("a", "b")]
    assert [one.epoch for one in operations if one is not None] == [1, 0]
