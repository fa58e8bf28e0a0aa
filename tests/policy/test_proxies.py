"""Address of the client: the right-most one that no trusted proxy has; all other claims are ignored."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.policy.proxies import Client, TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "unix"])


def address(peer: str, listed: Sequence[str] = (), standard: Sequence[str] = ()) -> str:
    return PROXIES.resolve_client(peer, listed, "", "", [{"for": entry} for entry in standard]).address


@pytest.mark.parametrize(
    ("peer", "listed", "standard", "client"),
    [
        ("192.0.2.1", ["9.9.9.9"], [], "192.0.2.1"),
        ("10.0.0.1", ["9.9.9.9"], [], "9.9.9.9"),
        ("", ["9.9.9.9"], [], "9.9.9.9"),
        ("::ffff:10.0.0.1", ["9.9.9.9"], [], "9.9.9.9"),
        ("::ffff:192.0.2.1", ["9.9.9.9"], [], "192.0.2.1"),
        ("10.0.0.1", ["1.1.1.1, 9.9.9.9"], [], "9.9.9.9"),
        ("10.0.0.1", ["1.1.1.1", "9.9.9.9, 10.0.0.2"], [], "9.9.9.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], [], "10.0.0.3"),
        ("10.0.0.1", ["1.1.1.1, unknown, 10.0.0.2"], [], "10.0.0.2"),
        ("10.0.0.1", ["nonsense"], [], "10.0.0.1"),
        ("10.0.0.1", [""], [], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9:1234"], [], "9.9.9.9"),
        ("10.0.0.1", [], ["[2001:db9::1]:443"], "2001:db9::1"),
        ("10.0.0.1", [], ["1.1.1.1", "_hidden"], "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9"], ["9.9.9.9"], "9.9.9.9"),
        ("10.0.0.1", ["9.9.9.9"], ["8.8.8.8"], "10.0.0.1"),
    ],
)
def test_the_rightmost_untrusted_address_is_the_client(
    peer: str, listed: list[str], standard: list[str], client: str
) -> None:
    assert address(peer, listed, standard) == client


def test_contradictions_and_unknown_schemes_are_ignored() -> None:
    elements = [{"for": "9.9.9.9", "proto": "http", "host": "b"}]
    told = PROXIES.resolve_client("10.0.0.1", ["9.9.9.9"], "https", "a", elements)
    assert told == Client(address="9.9.9.9")
    assert PROXIES.resolve_client("10.0.0.1", [], "gopher", "", []).scheme == ""


@given(
    st.lists(st.text()), st.text(), st.text(), st.lists(st.dictionaries(st.sampled_from(["for", "host"]), st.text()))
)
def test_fields_of_an_untrusted_client_are_ignored(
    listed: list[str], scheme: str, host: str, forwarded: list[dict[str, str]]
) -> None:
    assert PROXIES.resolve_client("192.0.2.1", listed, scheme, host, forwarded) == Client(address="192.0.2.1")
    PROXIES.resolve_client("10.0.0.1", listed, scheme, host, forwarded)


@given(st.lists(st.text()))
def test_entries_left_of_the_client_are_ignored(claims: list[str]) -> None:
    assert address("10.0.0.1", [*claims, "9.9.9.9"]) == "9.9.9.9"
