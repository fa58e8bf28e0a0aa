import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from downloadd.errors import CrossSiteError
from downloadd.fronts.cross_origin import AllowedOrigins, is_preflight, preflight_fields

ANY = AllowedOrigins(["*"])
SOME = AllowedOrigins(["https://ariang.example", "null", "chrome-extension://abc"])


def headers(*origins: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict([("Origin", origin) for origin in origins]))


@pytest.mark.parametrize("origin", ["https://a.example", "null", "chrome-extension://x", ""])
def test_by_default_every_page_may_call_and_read_the_answer(origin: str) -> None:
    ANY.require(headers(origin))
    fields = ANY.response_fields(headers(origin))
    assert fields["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in fields
    assert fields["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize(
    "origin", ["https://ariang.example", "HTTPS://ARIANG.example", "null", "chrome-extension://abc"]
)
def test_a_listed_origin_may_read_the_answer(origin: str) -> None:
    SOME.require(headers(origin))
    fields = SOME.response_fields(headers(origin))
    assert fields["Access-Control-Allow-Origin"] == origin
    assert fields["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://a.example", "http://ariang.example", "*", "", "https://ariang.example:444"]
)
def test_another_origin_is_refused_with_the_setting_that_allows_it(origin: str) -> None:
    with pytest.raises(CrossSiteError, match=r"aria2\.allow_origins"):
        SOME.require(headers(origin))
    with pytest.raises(CrossSiteError):
        SOME.require(headers("null", origin))
    assert "Access-Control-Allow-Origin" not in SOME.response_fields(headers(origin))


def test_a_program_without_an_origin_may_call() -> None:
    SOME.require(headers())
    assert SOME.response_fields(headers())["Vary"] == "Origin"


def test_a_preflight_request_may_ask_for_any_header_field() -> None:
    fields = preflight_fields(
        CIMultiDict({"Access-Control-Request-Headers": "x-a, x-b", "Access-Control-Request-Private-Network": "true"}),
        ("POST", "GET", "OPTIONS"),
    )
    assert fields["Access-Control-Allow-Methods"] == "POST, GET, OPTIONS"
    assert fields["Access-Control-Allow-Headers"] == "x-a, x-b"
    assert fields["Access-Control-Allow-Private-Network"] == "true"
    assert int(fields["Access-Control-Max-Age"]) > 0
    assert preflight_fields(CIMultiDict(), ("GET",)).keys() == {
        "Access-Control-Allow-Methods",
        "Access-Control-Max-Age",
    }


def test_only_a_question_about_a_method_is_a_preflight_request() -> None:
    asked = CIMultiDict({"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"})
    assert is_preflight("OPTIONS", asked)
    assert not is_preflight("GET", asked)
    assert not is_preflight("OPTIONS", CIMultiDict({"Origin": "https://a.example"}))


def test_each_of_several_origins_must_be_allowed() -> None:
    assert SOME.has_sent(headers("https://ariang.example"))
    assert not SOME.has_sent(headers("https://ariang.example", "https://a.example"))
    assert not SOME.has_sent(headers())
    assert bool(SOME)
    assert not AllowedOrigins(())
