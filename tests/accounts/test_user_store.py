"""What is shown of users, and their tokens."""

import hashlib

import pytest

from downloadd.accounts.user_store import UserKind, check_user_id, describe_user, make_user
from downloadd.errors import InvalidParameterError


def test_a_token_is_stored_as_its_hash_only_and_not_shown_by_accident() -> None:
    user, new = make_user("ann", ["download"])
    assert user.token_hash == f"sha256:{hashlib.sha256(new.token.encode()).hexdigest()}"
    assert new.token not in f"{user!r} {new!r}"
    shown = describe_user(user, UserKind.MADE)
    assert (shown.id, shown.permissions, shown.kind) == ("ann", ("download",), "made")
    assert make_user("ann", ["download"])[1].token != new.token


@pytest.mark.parametrize("id", ["", "a b", "a\n", "a" * 129, "\u00fc", ".", ".."])
def test_an_id_that_cannot_be_sent_in_a_header_is_refused(id: str) -> None:
    with pytest.raises(InvalidParameterError):
        check_user_id(id)


def test_an_id_may_have_signs() -> None:
    check_user_id("team/ann@example.org")
    check_user_id("...")
