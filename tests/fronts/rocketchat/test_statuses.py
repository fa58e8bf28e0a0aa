"""Statuses and error types of Rocket.Chat."""

import pytest

from downloadd.fronts.rocketchat.statuses import (
    ERROR_TYPES,
    FINISHED_STATUSES,
    STATUS_LABELS,
    STATUSES,
    ImportStatus,
    title_of,
)
from downloadd.import_operation import FINISHED_STATES, ImportErrorCode, ImportState


def test_every_state_has_a_status_of_its_own() -> None:
    assert set(STATUSES) == set(ImportState)
    assert len(set(STATUSES.values())) == len(STATUSES)
    assert {STATUSES[state] for state in FINISHED_STATES} == FINISHED_STATUSES


def test_every_status_has_a_label() -> None:
    assert list(STATUS_LABELS) == list(ImportStatus)
    assert all(STATUS_LABELS.values())


def test_every_error_code_has_an_error_type_of_its_own() -> None:
    assert set(ERROR_TYPES) == set(ImportErrorCode)
    assert len(set(ERROR_TYPES.values())) == len(ERROR_TYPES)
    assert all(word.startswith("error-") for word in ERROR_TYPES.values())


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("slack", "Slack"),
        ("csv", "CSV"),
        ("urls", "URLs"),
        ("metalink", "Metalink"),
        ("pending-files", "Pending Files"),
        ("pending-avatars", "Pending Avatars"),
        ("removed", "removed"),
    ],
)
def test_each_kind_has_a_title(kind: str, title: str) -> None:
    assert title_of(kind) == title
