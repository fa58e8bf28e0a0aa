"""Answers to challenges, with the examples of RFC 7616."""

import hashlib
import re

import pytest

from downloadd.origin import authentication
from downloadd.origin.authentication import (
    Authenticator,
    DigestChallenge,
    ProtectionSpace,
    ProtectionSpaces,
    describe_refusal,
    select_digest,
)
from downloadd.origin.challenges import parse_challenges, parse_parameters
from downloadd.request_fields import Credentials

MUFASA = Credentials(user="Mufasa", password="Circle of Life")
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
# RFC 7616, section 3.9.1.
CHALLENGE = (
    f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={{}}, nonce="{NONCE}", opaque="{OPAQUE}"'
)
JASON = Credentials(user="J\u00e4s\u00f8n Doe", password="Secret, or not?")
# RFC 7616, section 3.9.2.
JASON_CHALLENGE = (
    'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
    'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
    'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash={}'
)
JASON_CNONCE = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"


def space(user: Credentials = MUFASA, *nonces: str) -> ProtectionSpace:
    remaining = iter(nonces or (CNONCE,))
    return ProtectionSpace(user, make_nonce=lambda: next(remaining))


def select(lines: list[str]) -> DigestChallenge:
    """Return the challenge of these lines that can be answered."""
    challenge = select_digest(parse_challenges(lines))
    assert challenge is not None
    return challenge


def answer(user: Credentials, cnonce: str, lines: list[str], target: str) -> dict[str, str]:
    """Return the parameters of the answer to a first challenge."""
    authorization = Authenticator(space(user, cnonce)).answer(select(lines), "GET", target)
    assert authorization is not None
    assert authorization.startswith("Digest ")
    return parse_parameters(authorization.removeprefix("Digest "))


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_section_3_9_1(algorithm: str, response: str) -> None:
    assert answer(MUFASA, CNONCE, [CHALLENGE.format(algorithm)], "/dir/index.html") == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": NONCE,
        "nc": "00000001",
        "cnonce": CNONCE,
        "qop": "auth",
        "response": response,
        "opaque": OPAQUE,
    }


def test_the_example_of_section_3_9_2_as_erratum_4897_corrects_it() -> None:
    parameters = answer(JASON, JASON_CNONCE, [JASON_CHALLENGE.format("true")], "/doe.json")
    assert parameters["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert parameters["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert (parameters["userhash"], parameters["algorithm"]) == ("true", "SHA-512-256")


def test_a_name_that_is_not_ascii_is_percent_encoded() -> None:
    parameters = answer(JASON, JASON_CNONCE, [JASON_CHALLENGE.format("false")], "/doe.json")
    assert parameters["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
    assert parameters["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert "userhash" not in parameters
    assert "username" not in parameters
    # Both spellings of the letters are the same user (RFC 7616, section 4).
    decomposed = Credentials(user="Ja\u0308s\u00f8n Doe", password=JASON.password)
    assert answer(decomposed, JASON_CNONCE, [JASON_CHALLENGE.format("false")], "/doe.json") == parameters


def test_an_origin_of_rfc_2069_is_answered() -> None:
    # Without qop; compared with the definition.
    lines = ['Digest realm="testrealm@host.com", nonce="dcd98b", opaque="5ccc"']
    parameters = answer(Credentials(user="Mufasa", password="CircleOfLife"), "c", lines, "/dir/index.html")
    key = hashlib.md5(b"Mufasa:testrealm@host.com:CircleOfLife").hexdigest()
    request = hashlib.md5(b"GET:/dir/index.html").hexdigest()
    assert parameters["response"] == hashlib.md5(f"{key}:dcd98b:{request}".encode()).hexdigest()
    assert not {"qop", "nc", "cnonce", "algorithm"} & parameters.keys()


@pytest.mark.parametrize(("algorithm", "name"), [("MD5-sess", "md5"), ("SHA-256-SESS", "sha256")])
def test_the_key_of_a_session_has_both_nonces(algorithm: str, name: str) -> None:
    def digest(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    parameters = answer(MUFASA, CNONCE, [CHALLENGE.format(algorithm)], "/dir/index.html")
    key = digest(f"{digest('Mufasa:http-auth@example.org:Circle of Life')}:{NONCE}:{CNONCE}")
    expected = digest(f"{key}:{NONCE}:00000001:{CNONCE}:auth:{digest('GET:/dir/index.html')}")
    assert (parameters["response"], parameters["algorithm"]) == (expected, algorithm)


def test_quotes_and_backslashes_are_escaped() -> None:
    parameters = answer(
        Credentials(user='a"b\\c', password="p"), "c", [r'Digest realm="r\"s\\t", nonce="n", qop=auth'], "/x"
    )
    assert (parameters["username"], parameters["realm"]) == ('a"b\\c', 'r"s\\t')
    key = hashlib.md5(b'a"b\\c:r"s\\t:p').hexdigest()
    request = hashlib.md5(b"GET:/x").hexdigest()
    assert parameters["response"] == hashlib.md5(f"{key}:n:00000001:c:auth:{request}".encode()).hexdigest()


# -- selection ---------------------------------------------------------------------------------------------------------


def digest_line(algorithm: str | None, **parameters: str) -> str:
    given = {"realm": "r", "nonce": "n", "qop": "auth", **parameters}
    text = ", ".join(f'{name}="{value}"' for name, value in given.items())
    return f"Digest {text}" if algorithm is None else f"Digest {text}, algorithm={algorithm}"


@pytest.mark.parametrize(
    ("lines", "algorithm"),
    [
        ([digest_line("MD5"), digest_line("SHA-256"), digest_line("SHA-512-256")], "SHA-512-256"),
        ([f"{digest_line('SHA-256-sess')}, {digest_line('MD5')}"], "SHA-256-sess"),
        (["Basic realm=r", digest_line("md5")], "md5"),
        ([digest_line("SHA-512"), digest_line("SHA-256", qop="auth-int"), digest_line("MD5")], "MD5"),
        (["Negotiate, Basic realm=r"], None),
        ([digest_line("SHA-384")], None),
        ([digest_line("MD5", qop="auth-int")], None),
        (["Digest realm=r, qop=auth"], None),
        (["Digest nonce=n"], None),
        ([digest_line("MD5", nonce="n\udcff")], None),
        ([digest_line("MD5", opaque="a\x00")], None),
    ],
)
def test_the_strongest_supported_algorithm_is_selected(lines: list[str], algorithm: str | None) -> None:
    selected = select_digest(parse_challenges(lines))
    assert (None if selected is None else selected.algorithm) == algorithm


def test_an_algorithm_that_the_system_lacks_is_not_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashlib, "algorithms_available", {"sha256"})
    selected = select_digest(parse_challenges([digest_line("SHA-512-256"), digest_line("SHA-256"), digest_line(None)]))
    assert selected is not None
    assert selected.algorithm == "SHA-256"
    assert select_digest(parse_challenges([digest_line(None)])) is None


# -- the order of requests ---------------------------------------------------------------------------------------------


def nonce_and_count(authorization: str | None) -> tuple[str, str]:
    parameters = parse_parameters((authorization or "").removeprefix("Digest "))
    return parameters["nonce"], parameters["nc"]


def test_basic_is_sent_before_a_challenge_and_answered_by_digest_once() -> None:
    authenticator = Authenticator(space())
    assert authenticator.authorize("GET", "/f") == "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl"
    assert nonce_and_count(authenticator.answer(select([digest_line("MD5")]), "GET", "/f")) == ("n", "00000001")
    assert authenticator.answer(select([digest_line("MD5", nonce="m")]), "GET", "/f") is None


@pytest.mark.parametrize(
    "lines", [[], ["Basic realm=r"], ["Negotiate"], ["nonsense="], [digest_line("unknown", stale="true")]]
)
def test_other_challenges_are_not_answered(lines: list[str]) -> None:
    assert select_digest(parse_challenges(lines)) is None


def test_later_requests_use_the_nonce_and_count() -> None:
    shared = space(MUFASA, "c1", "c2")
    assert nonce_and_count(Authenticator(shared).answer(select([digest_line("MD5")]), "GET", "/f")) == ("n", "00000001")
    for count in range(2, 12):
        assert nonce_and_count(Authenticator(shared).authorize("GET", "/f")) == ("n", f"{count:08x}")


def test_stale_nonces_are_replaced_up_to_a_limit() -> None:
    count = authentication.MAX_ANSWERS
    shared = space(MUFASA, *(f"c{number}" for number in range(count + 1)))
    Authenticator(shared).answer(select([digest_line("MD5")]), "GET", "/f")
    later = Authenticator(shared)
    later.authorize("GET", "/f")
    for number in range(count):
        stale = digest_line("MD5", nonce=f"m{number}", stale="TRUE")
        assert nonce_and_count(later.answer(select([stale]), "GET", "/f")) == (f"m{number}", "00000001")
    assert later.answer(select([digest_line("MD5", nonce="p", stale="true")]), "GET", "/f") is None


@pytest.mark.parametrize(
    ("stale", "is_stale"), [({"stale": "TRUE"}, True), ({"stale": "false"}, False), ({}, False)], ids=str
)
def test_a_challenge_states_that_a_nonce_is_stale(stale: dict[str, str], is_stale: bool) -> None:
    assert select([digest_line("MD5", **stale)]).is_stale is is_stale


def test_an_old_nonce_is_replaced_though_the_origin_does_not_call_it_stale() -> None:
    shared = space(MUFASA, "c1", "c2")
    Authenticator(shared).answer(select([digest_line("MD5")]), "GET", "/f")
    later = Authenticator(shared)
    later.authorize("GET", "/f")
    assert nonce_and_count(later.answer(select([digest_line("MD5", nonce="m")]), "GET", "/f")) == ("m", "00000001")
    assert later.answer(select([digest_line("MD5", nonce="o")]), "GET", "/f") is None


def test_a_refusal_under_the_same_nonce_is_final() -> None:
    shared = space(MUFASA, "c1")
    Authenticator(shared).answer(select([digest_line("MD5")]), "GET", "/f")
    later = Authenticator(shared)
    later.authorize("GET", "/f")
    assert later.answer(select([digest_line("MD5")]), "GET", "/f") is None


def test_a_next_nonce_is_used() -> None:
    shared = space(MUFASA, "c1", "c2")
    authenticator = Authenticator(shared)
    authenticator.note_info(['nextnonce="early"'])
    assert authenticator.authorize("GET", "/f").startswith("Basic ")
    authenticator.answer(select([digest_line("MD5", opaque="o")]), "GET", "/f")
    for useless in ([], ['rspauth="x"'], ['nextnonce=""'], ['nextnonce="\udcff"'], ["nonsense"]):
        authenticator.note_info(useless)
        assert shared.challenge is not None
        assert shared.challenge.nonce == "n"
    authenticator.note_info(['qop=auth, nextnonce="m"'])
    following = Authenticator(shared).authorize("GET", "/f")
    assert nonce_and_count(following) == ("m", "00000001")
    assert parse_parameters(following.removeprefix("Digest "))["opaque"] == "o"


def test_spaces_are_those_of_a_user_at_an_origin_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_SPACES", 2)
    spaces = ProtectionSpaces(make_nonce=lambda: "c")
    first = spaces.get("https://a.example", MUFASA)
    assert spaces.get("https://a.example", Credentials(user="Mufasa", password="Circle of Life")) is first
    assert spaces.get("https://a.example", JASON) is not first
    assert spaces.get("https://a.example", MUFASA) is first
    spaces.get("https://b.example", MUFASA)
    assert spaces.get("https://a.example", MUFASA) is first
    spaces.get("https://c.example", MUFASA)
    spaces.get("https://d.example", MUFASA)
    assert spaces.get("https://a.example", MUFASA) is not first


def test_an_answer_shows_no_password() -> None:
    authorization = Authenticator(space()).answer(select([digest_line("MD5")]), "GET", "/f")
    assert not re.search("Circle|Life", authorization or "")
    assert "Circle" not in repr(space().user)


@pytest.mark.parametrize(
    ("lines", "is_authorized", "expected"),
    [
        (["Basic realm=hush4711"], True, "it refused user and password"),
        (["Basic realm=hush4711"], False, "it needs a user and password"),
        ([], False, "it needs a user and password"),
        (["Bearer realm=hush4711"], False, "it needs a token"),
        (["Negotiate hush4711"], False, "an authentication that is not supported"),
    ],
)
def test_a_refusal_says_what_to_do(lines: list[str], is_authorized: bool, expected: str) -> None:
    text = describe_refusal(parse_challenges(lines), is_authorized=is_authorized)
    assert expected in text
    assert "hush4711" not in text


def test_a_challenge_without_an_algorithm_is_md5() -> None:
    assert DigestChallenge(realm="r", nonce="n").digest("") == hashlib.md5(b"").hexdigest()
