"""Import operations and their states."""

import pytest
from support.fake_imports import OPERATION_ID, make_operation

from downloadd.import_operation import (
    FINISHED_STATES,
    PENDING_KINDS,
    READING_STATES,
    UNREAD_STATES,
    FileCounts,
    ImportState,
    PendingKind,
    is_operation_id,
)


@pytest.mark.parametrize(
    ("text", "valid"),
    [(OPERATION_ID, True), ("a" * 17, True), ("a" * 16, False), ("a" * 18, False), ("0" * 17, False), ("", False)],
)
def test_an_operation_id_has_17_characters_of_the_alphabet(text: str, valid: bool) -> None:
    assert is_operation_id(text) is valid


def test_every_state_is_unread_or_read_or_finished() -> None:
    assert READING_STATES < UNREAD_STATES
    assert not UNREAD_STATES & FINISHED_STATES
    assert set(ImportState) - UNREAD_STATES - FINISHED_STATES == {
        ImportState.READY,
        ImportState.SELECTING,
        ImportState.DOWNLOADING,
    }


@pytest.mark.parametrize(
    ("counts", "finished"),
    [
        (FileCounts(), True),
        (FileCounts(total=2, completed=1), False),
        (FileCounts(total=2, completed=1, failed=1), True),
    ],
)
def test_files_are_finished_when_each_is_completed_or_failed(counts: FileCounts, finished: bool) -> None:
    assert counts.is_finished is finished


def test_only_the_kinds_of_pending_files_have_a_pending_kind() -> None:
    assert make_operation(kind="slack").pending_kind is None
    assert [make_operation(kind=kind).pending_kind for kind in PENDING_KINDS] == [PendingKind.FILE, PendingKind.AVATAR]
