"""Structs of the waiting list, as JSON."""

import msgspec
import pytest

from downloadd.fronts.rest.queue_schemas import ChangeCountResponse, MoveBody, MoveResponse, MoveTo
from downloadd.fronts.rest.schemas import ActiveEntryResponse


@pytest.mark.parametrize(
    ("body", "to"),
    [
        *((f'{{"to": "{word}"}}', word) for word in MoveTo),
        ('{"to": 0}', 0),
        (f'{{"to": {2**53}}}', 2**53),
    ],
)
def test_a_place_is_a_word_or_an_index(body: str, to: MoveTo | int) -> None:
    assert msgspec.json.decode(body, type=MoveBody).to == to


@pytest.mark.parametrize(
    "body",
    ["{}", '{"to": "first"}', '{"to": "1"}', '{"to": -1}', '{"to": 1.5}', f'{{"to": {2**53 + 1}}}', '{"to": null}'],
)
def test_other_places_are_refused(body: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=MoveBody)


def test_an_unknown_field_of_a_move_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode('{"to": 1, "from": 2}', type=MoveBody)


def test_the_answer_to_a_move_is_the_entry_with_its_index() -> None:
    own = set(MoveResponse.__struct_fields__) - set(ActiveEntryResponse.__struct_fields__)
    assert own == {"position"}


def test_an_action_on_all_downloads_has_their_number() -> None:
    answer = ChangeCountResponse(changed=2, success=True, message="2 downloads paused")
    assert msgspec.to_builtins(answer) == {"changed": 2, "success": True, "message": "2 downloads paused"}
