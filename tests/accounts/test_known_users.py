"""All users of a node."""

from collections.abc import Sequence

from structlog.testing import capture_logs
from support.config_files import OTHER_HASH, TOKEN_HASH

from downloadd.accounts.known_users import KnownUsers
from downloadd.config import UserConfig

ALICE = UserConfig(id="alice", token_hash=TOKEN_HASH)
BOB = UserConfig(id="bob", token_hash=OTHER_HASH)


def test_users_of_the_configuration_and_those_that_were_made_are_replaced_apart() -> None:
    applied: list[Sequence[UserConfig]] = []
    known = KnownUsers([ALICE], applied.append)
    assert known.all == (ALICE,)
    known.replace_made([BOB])
    known.replace_configured([])
    known.replace_made([])
    assert applied == [(ALICE, BOB), (BOB,), ()]
    assert known.all == applied[-1]


def test_a_user_of_the_configuration_hides_one_that_was_made_with_its_id_or_its_token() -> None:
    known = KnownUsers([ALICE], lambda users: None)
    for made in (UserConfig(id="alice", token_hash=OTHER_HASH), UserConfig(id="other", token_hash=TOKEN_HASH)):
        with capture_logs() as lines:
            known.replace_made([made])
        assert known.all == (ALICE,)
        assert [(line["event"], line["ids"]) for line in lines] == [("made_users_left_out", [made.id])]
