"""Structs of an action on many downloads, as JSON."""

import msgspec
import pytest

from downloadd.bulk_actions import BulkAction
from downloadd.fronts.rest.bulk_schemas import BulkBody, BulkResponse, BulkResult

ID = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"


@pytest.mark.parametrize("action", BulkAction)
def test_files_stay_unless_they_are_named(action: BulkAction) -> None:
    body = msgspec.json.decode(f'{{"action": "{action}", "ids": ["{ID}"]}}', type=BulkBody)
    assert body == BulkBody(action=action, ids=[ID], file=False)


def test_a_refusal_has_no_entry() -> None:
    result = BulkResult(id=ID, success=False, message="Refused", error="NOT_FOUND")
    answer = msgspec.json.encode(BulkResponse(results=[result], success=False, message="1 refused"))
    assert b"active" not in answer
    assert msgspec.json.decode(answer, type=BulkResponse).results == [result]
