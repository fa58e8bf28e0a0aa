"""Challenges of WWW-Authenticate, as RFC 9110, section 11.6.1, defines them, and as origins send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.origin.challenges import MAX_CHALLENGES, Challenge, parse_challenges, parse_parameters


def challenge(scheme: str, **parameters: str) -> Challenge:
    return Challenge(scheme=scheme, parameters=parameters)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        ([""], []),
        ([" , ,"], []),
        (['Basic realm="simple"'], [challenge("basic", realm="simple")]),
        (["Basic"], [challenge("basic")]),
        (["BASIC REALM=simple"], [challenge("basic", realm="simple")]),
        (['Basic realm = "a b" , charset="UTF-8"'], [challenge("basic", realm="a b", charset="UTF-8")]),
        (
            # The example of RFC 9110, section 11.6.1.
            ['Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""'],
            [challenge("basic", realm="simple"), challenge("newauth", realm="apps", type="1", title='Login to "apps"')],
        ),
        (["Negotiate, Basic realm=x"], [challenge("negotiate"), challenge("basic", realm="x")]),
        (["Negotiate abc+/d==, NTLM"], [Challenge(scheme="negotiate", token68="abc+/d=="), challenge("ntlm")]),
        (["NTLM TlRMTVNTUAAB"], [Challenge(scheme="ntlm", token68="TlRMTVNTUAAB")]),
        (
            ["Basic realm=a", 'Digest realm="b", nonce="c,d"'],
            [challenge("basic", realm="a"), challenge("digest", realm="b", nonce="c,d")],
        ),
        (['Digest realm="a",, nonce="b",'], [challenge("digest", realm="a", nonce="b")]),
        (['Digest realm="a"nonce="b"'], [challenge("digest", realm="a", nonce="b")]),
        ([r'Digest realm="a\\b\"c"'], [challenge("digest", realm='a\\b"c')]),
        (['Digest qop="auth,auth-int", nonce=""'], [challenge("digest", qop="auth,auth-int", nonce="")]),
        # Malformed: the rest of the line is not used.
        (['Basic realm="open'], [challenge("basic")]),
        (['Basic realm="a", Digest nonce="open, Basic realm=x'], [challenge("basic", realm="a"), challenge("digest")]),
        (["=, Basic realm=x"], []),
        (['"Basic" realm=x'], []),
        # A parameter that is stated twice makes its challenge useless, not the next one.
        (["Digest nonce=a, nonce=b, Basic realm=x"], [challenge("basic", realm="x")]),
    ],
)  # fmt: skip
def test_challenges_are_read_in_order(lines: list[str], expected: list[Challenge]) -> None:
    assert parse_challenges(lines) == expected


def test_the_number_of_challenges_is_limited() -> None:
    assert len(parse_challenges([f"A{n}" for n in range(100)])) == MAX_CHALLENGES
    assert len(parse_challenges([", ".join(f"A{n}" for n in range(100))])) == MAX_CHALLENGES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ('nextnonce="a, b", qop=auth,rspauth="c"', {"nextnonce": "a, b", "qop": "auth", "rspauth": "c"}),
        ("nextnonce=a, nextnonce=b", {"nextnonce": "a"}),
        ("nonsense", {}),
    ],
)
def test_parameters_without_a_scheme_are_read(text: str, expected: dict[str, str]) -> None:
    assert parse_parameters(text) == expected


TOKENS = st.from_regex(r"[a-z0-9!#$%&'*+.^_`|~-]{1,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=10)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(st.lists(st.tuples(TOKENS, st.dictionaries(TOKENS, VALUES, min_size=1, max_size=4)), max_size=5))
def test_written_challenges_are_read_again(challenges: list[tuple[str, dict[str, str]]]) -> None:
    line = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    )
    expected = [Challenge(scheme=scheme, parameters=parameters) for scheme, parameters in challenges]
    assert parse_challenges([line]) == expected


@given(st.text(max_size=100))
def test_any_text_is_read(text: str) -> None:
    for one in parse_challenges([text]):
        assert one.scheme == one.scheme.lower() != ""
