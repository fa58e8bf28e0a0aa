"""All users of a node."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs
from support.config_files import OTHER_HASH, TOKEN_HASH

from downloadd.accounts.known_users import KnownUsers
from downloadd.config import UserConfig

ALICE = UserConfig(id="alice", token_hash=TOKEN_HASH)
BOB = UserConfig(id="bob", token_hash=OTHER_HASH)
FIRST = UserConfig(id="first", token_hash=f"sha256:{'2' * 64}")


def test_each_source_is_replaced_apart_and_a_removal_always_holds() -> None:
    applied: list[Sequence[UserConfig]] = []
    known = KnownUsers([ALICE], applied.append)
    known.replace_made([BOB])
    known.replace_first(FIRST)
    known.replace_configured([])
    known.replace_made([])
    # What changes nothing does not disconnect readers of events.
    known.replace_made([])
    known.replace_first(None)
    assert applied == [(ALICE,), (ALICE, BOB), (ALICE, BOB, FIRST), (BOB, FIRST), (FIRST,), ()]
    assert known.all == ()


def test_users_are_described_with_the_place_where_they_are_changed() -> None:
    known = KnownUsers([ALICE], lambda users: None)
    known.replace_made([BOB])
    known.replace_first(FIRST)
    assert [(one.id, one.kind) for one in known.describe()] == [
        ("alice", "configured"),
        ("first", "first"),
        ("bob", "made"),
    ]
    assert (known.find_kind("bob"), known.find_kind("zoe")) == ("made", None)


@pytest.mark.parametrize(
    "made", [UserConfig(id="alice", token_hash=OTHER_HASH), UserConfig(id="bob", token_hash=TOKEN_HASH)]
)
def test_a_user_of_the_configuration_hides_one_that_was_made_with_its_id_or_its_token(made: UserConfig) -> None:
    known = KnownUsers([ALICE], lambda users: None)
    with capture_logs() as lines:
        known.replace_made([made])
        known.replace_first(FIRST)
        assert known.all == (ALICE, FIRST)
        known.replace_configured([])
    assert known.all == (made, FIRST)
    assert [(line["event"], line["ids"]) for line in lines] == [("made_users_left_out", [made.id])]


def test_the_id_of_a_watch_folder_is_no_user() -> None:
    known = KnownUsers([ALICE], lambda users: None, reserved={"bob"})
    assert [known.is_taken(id) for id in ("alice", "bob", "carol")] == [True, True, False]
    known.replace_made([BOB])
    assert known.all == (ALICE,)


def test_a_user_who_was_given_the_token_of_the_first_one_replaces_it() -> None:
    known = KnownUsers([], lambda users: None)
    known.replace_first(FIRST)
    same = UserConfig(id="me", token_hash=FIRST.token_hash)
    known.replace_configured([same])
    assert known.all == (same,)
    known.replace_configured([])
    known.replace_made([same])
    assert known.all == (same,)
