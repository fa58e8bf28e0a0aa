"""Links to files that work without a token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.served_api import user

from downloadd.fronts.rest.auth import Accounts
from downloadd.fronts.rest.file_links import LINK_SECONDS, FileLinks
from downloadd.users import User

ID = "00000000-0000-4000-8000-000000000000"
OTHER = "00000001-0000-4000-8000-000000000000"
NOW = 1_000_000_000.5


@pytest.fixture
def accounts() -> Accounts:
    return Accounts([user("rita", "a token", "read-files"), user("\u00fc.x", "another", "read-files")])


def sign(links: FileLinks, id: str = "rita") -> str:
    return links.sign(User(id=id, permissions=frozenset()), ID, now=NOW)[0]


@pytest.mark.parametrize("id", ["rita", "\u00fc.x"])
def test_a_link_opens_one_file_for_its_user_and_time(accounts: Accounts, id: str) -> None:
    links = FileLinks(accounts, b"secret")
    ticket = sign(links, id)
    found = links.find_user(ticket, ID, now=NOW + LINK_SECONDS - 2)
    assert found == accounts.find_by_id(id) is not None
    assert links.find_user(ticket, OTHER, now=NOW) is None
    assert links.find_user(ticket, ID, now=NOW + LINK_SECONDS) is None


def test_a_link_ends_with_the_process_the_user_and_the_token(accounts: Accounts) -> None:
    links = FileLinks(accounts, b"secret")
    ticket = sign(links)
    assert FileLinks(accounts, b"secret of another process").find_user(ticket, ID, now=NOW) is None
    accounts.replace([user("rita", "a new token", "read-files")])
    assert links.find_user(ticket, ID, now=NOW) is None
    accounts.replace([])
    assert links.find_user(ticket, ID, now=NOW) is None
    # An unknown user cannot sign: no account has the digest of nothing.
    assert links.find_user(sign(links), ID, now=NOW) is None


@given(st.text(max_size=80), st.integers(0, 200), st.characters())
def test_no_other_ticket_opens_a_file(text: str, place: int, character: str) -> None:
    links = FileLinks(Accounts([user("rita", "a token", "read-files")]), b"secret")
    ticket = sign(links)
    place %= len(ticket)
    changed = ticket[:place] + character + ticket[place + 1 :]
    for each in (text, changed, f"{ticket}{text}" if text else "", ticket[:-1]):
        if each != ticket:
            assert links.find_user(each, ID, now=NOW) is None
