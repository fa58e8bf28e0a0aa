from typing import Any, cast

import pytest

from downloadd.errors import ERRORS
from downloadd.errors.base import DownloadError, Occasion

ROW = ("status", "title", "description", "resolution", "advice", "occasions")


class RowError(DownloadError, code="A_ROW"):
    """RowError of a table of its own."""


class CaseError(RowError):
    """CaseError of the row."""


def test_a_class_declares_its_code_and_its_cases_inherit_it() -> None:
    assert (RowError.code, CaseError.code) == ("A_ROW", "A_ROW")
    assert not hasattr(DownloadError, "code")


def test_a_class_of_another_module_does_not_change_the_table() -> None:
    assert "A_ROW" not in ERRORS


@pytest.mark.parametrize("kind", list(ERRORS.values()))
def test_every_class_of_the_table_declares_the_whole_row(kind: type[DownloadError]) -> None:
    assert [name for name in ROW if name not in vars(kind)] == []
    assert kind.occasions <= set(Occasion)


def test_an_error_is_permanent_and_asks_for_no_delay_by_default() -> None:
    error = RowError("it failed")
    assert (error.detail, str(error)) == ("it failed", "it failed")
    assert error.retry_after is None
    assert not error.transient
    assert not error.sends_retry_after
    assert not error.concerns_source


def test_seconds_to_wait_are_kept() -> None:
    assert RowError("busy", retry_after=2.5).retry_after == 2.5


def test_a_class_has_no_other_options_than_a_code() -> None:
    with pytest.raises(TypeError):
        cast(Any, type)("Other", (DownloadError,), {}, status=400)
