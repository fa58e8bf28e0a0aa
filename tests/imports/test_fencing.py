"""Calls that another call has fenced."""

import pytest

from downloadd.import_operation import Driver, ImportErrorCode
from downloadd.imports.fencing import refused_if_fenced
from downloadd.imports.refusal import ImportRefusedError
from downloadd.records.import_protocol import ImportFencedError


def test_a_fenced_call_is_refused() -> None:
    with pytest.raises(ImportRefusedError, match="another request changes the import") as refused, refused_if_fenced():
        raise ImportFencedError(Driver("a", 0))
    assert refused.value.code is ImportErrorCode.WRONG_STATE


def test_other_errors_stay() -> None:
    with pytest.raises(LookupError), refused_if_fenced():
        raise LookupError
