"""Requests with redirects and challenges, without a client."""

import pytest
from multidict import CIMultiDict
from support.allowed_urls import allowed_url
from support.cookie_jars import make_jar

from downloadd.config import ProxyConfig
from downloadd.errors import DomainBlockedError, NetworkError, RemoteError, TooManyRedirectsError
from downloadd.origin.authentication import MAX_ANSWERS, ProtectionSpaces
from downloadd.origin.exchange import Exchange
from downloadd.origin.request_headers import encode_basic
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.request_fields import Credentials, Method, RequestFields

URL = "https://a.example/f?x=1"
USER = Credentials(user="ann", password="pass")
DIGEST = 'Digest realm="r", nonce="{}", qop="auth"'


def lines(**fields: str) -> CIMultiDict[str]:
    """Return the header fields of a response."""
    return CIMultiDict({name.replace("_", "-"): value for name, value in fields.items()})


def exchange(
    url: str = URL,
    given: RequestFields | None = None,
    spaces: ProtectionSpaces | None = None,
    by_host: dict[str, RequestFields] | None = None,
    proxies: OriginProxies | None = None,
) -> Exchange:
    return Exchange(
        allowed_url(url),
        policy=Policy(),
        proxies=proxies or OriginProxies(),
        spaces=spaces or ProtectionSpaces(make_nonce=lambda: "c"),
        by_host=by_host or {},
        cookies=make_jar(),
        given=given,
        range_fields=[("Range", "bytes=5-")],
    )


def authorization(made: Exchange) -> str | None:
    return dict(made.next_request().fields).get("Authorization")


def test_a_plain_request_is_final() -> None:
    made = exchange()
    request = made.next_request()
    assert (request.method, request.url.text, request.body) == (Method.GET, URL, None)
    assert ("Range", "bytes=5-") in request.fields
    assert not made.must_continue(206, lines())
    assert not made.must_continue(404, lines(Location="https://b.example/"))
    assert (made.target.text, made.hops) == (URL, 0)


def test_a_redirect_is_followed_with_the_range() -> None:
    made = exchange(given=RequestFields(headers=(("X-Key", "k"),), auth=USER))
    assert made.must_continue(302, lines(Location="https://b.example/g"))
    request = made.next_request()
    assert (request.url.text, made.hops) == ("https://b.example/g", 1)
    fields = dict(request.fields)
    assert fields["Range"] == "bytes=5-"
    assert not {"X-Key", "Authorization"} & fields.keys()


def test_cookies_of_redirects_and_challenges_are_sent_to_their_hosts() -> None:
    made = exchange(given=RequestFields(cookies=(("given", "g"), ("a", "old")), auth=USER))
    assert made.must_continue(302, lines(Location="https://b.example/g", Set_Cookie="a=new; Path=/"))
    assert "Cookie" not in dict(made.next_request().fields)
    both = CIMultiDict([("Location", URL), ("Set-Cookie", "b=1"), ("Set-Cookie", "evil=1; Domain=a.example")])
    assert made.must_continue(302, both)
    assert dict(made.next_request().fields)["Cookie"] == "given=g; a=new"
    assert made.must_continue(401, lines(WWW_Authenticate=DIGEST.format("n"), Set_Cookie="c=3"))
    assert dict(made.next_request().fields)["Cookie"] == "given=g; a=new; c=3"


def test_forbidden_and_endless_redirects_end_the_exchange() -> None:
    with pytest.raises(DomainBlockedError):
        exchange().must_continue(302, lines(Location="http://10.0.0.1/"))
    with pytest.raises(RemoteError, match="without Location"):
        exchange().must_continue(302, lines())
    made = exchange()
    for _ in range(10):
        assert made.must_continue(302, lines(Location="/f"))
    with pytest.raises(TooManyRedirectsError):
        made.must_continue(302, lines(Location="/f"))


def test_a_body_is_sent_until_a_redirect_makes_a_get_of_the_post() -> None:
    given = RequestFields(method=Method.POST, body="ü")
    made = exchange(given=given)
    assert made.next_request().body == "ü".encode()
    assert made.must_continue(307, lines(Location="/g"))
    assert (made.next_request().method, made.next_request().body) == (Method.POST, "ü".encode())
    assert made.must_continue(303, lines(Location="/h"))
    assert (made.next_request().method, made.next_request().body) == (Method.GET, None)


def test_a_digest_challenge_is_answered_once() -> None:
    made = exchange(given=RequestFields(auth=USER))
    assert (authorization(made) or "").startswith("Basic ")
    assert made.must_continue(401, lines(WWW_Authenticate=DIGEST.format("n")))
    answer = authorization(made) or ""
    assert answer.startswith("Digest ")
    assert 'uri="/f?x=1"' in answer
    with pytest.raises(RemoteError, match="401: it refused user and password"):
        made.must_continue(401, lines(WWW_Authenticate=DIGEST.format("m")))


def test_nonces_that_are_always_stale_are_an_error_that_may_pass() -> None:
    made = exchange(given=RequestFields(auth=USER))
    for number in range(MAX_ANSWERS):
        assert made.must_continue(401, lines(WWW_Authenticate=DIGEST.format(number) + ", stale=true"))
    with pytest.raises(RemoteError, match="401: the nonces of its Digest") as caught:
        made.must_continue(401, lines(WWW_Authenticate=DIGEST.format("last") + ", stale=true"))
    assert caught.value.transient
    # A field that the user has set does not change.
    header = RequestFields(headers=(("Authorization", "Digest x"),))
    with pytest.raises(RemoteError, match="401: it refused") as caught:
        exchange(given=header).must_continue(401, lines(WWW_Authenticate=DIGEST.format("n") + ", stale=true"))
    assert not caught.value.transient


def test_without_credentials_a_challenge_is_an_error() -> None:
    with pytest.raises(RemoteError, match="401: it needs a user and password") as caught:
        exchange().must_continue(401, lines(WWW_Authenticate=DIGEST.format("n")))
    assert (caught.value.origin_status, caught.value.transient) == (401, False)
    with pytest.raises(RemoteError, match="401: it needs a token"):
        exchange().must_continue(401, lines(WWW_Authenticate="Bearer"))
    header = RequestFields(headers=(("authorization", "Bearer t"),))
    for made in (exchange(given=header), exchange(by_host={"a.example": header})):
        assert ("authorization", "Bearer t") in made.next_request().fields
        with pytest.raises(RemoteError, match="401: it refused"):
            made.must_continue(401, lines(WWW_Authenticate="Bearer"))


def test_a_user_of_the_download_replaces_a_configured_header_field() -> None:
    header = RequestFields(headers=(("authorization", "Bearer t"),))
    sent = exchange(given=RequestFields(auth=USER), by_host={"a.example": header}).next_request().fields
    assert [value for name, value in sent if name.lower() == "authorization"] == [encode_basic(USER)]


def test_a_challenge_after_a_redirect_to_another_origin_is_not_answered() -> None:
    made = exchange("https://u:p@a.example/f", given=RequestFields(auth=USER))
    assert made.must_continue(302, lines(Location="https://x:y@b.example/g"))
    assert authorization(made) is None
    with pytest.raises(RemoteError, match="needs a user"):
        made.must_continue(401, lines(WWW_Authenticate=DIGEST.format("n")))


def test_each_origin_has_its_own_answer() -> None:
    by_host = {"b.example": RequestFields(auth=Credentials(user="bob", password="b"))}
    made = exchange(given=RequestFields(auth=USER), by_host=by_host)
    assert made.must_continue(401, lines(WWW_Authenticate=DIGEST.format("a")))
    assert made.must_continue(302, lines(Location="https://b.example/g"))
    assert (authorization(made) or "").startswith("Basic ")
    assert made.must_continue(401, lines(WWW_Authenticate=DIGEST.format("b")))
    answer = authorization(made) or ""
    assert 'username="bob"' in answer
    assert 'nonce="b"' in answer


def test_a_known_nonce_is_used_at_once_and_the_next_one_after_it() -> None:
    spaces = ProtectionSpaces(make_nonce=lambda: "c")
    given = RequestFields(auth=USER)
    first = exchange(given=given, spaces=spaces)
    assert first.must_continue(401, lines(WWW_Authenticate=DIGEST.format("n")))
    assert not first.must_continue(200, lines(Authentication_Info='nextnonce="m"'))
    second = authorization(exchange(given=given, spaces=spaces)) or ""
    assert second.startswith("Digest ")
    assert 'nonce="m"' in second
    # Another user, and another port.
    other = RequestFields(auth=Credentials(user="bob"))
    assert (authorization(exchange(given=other, spaces=spaces)) or "").startswith("Basic ")
    elsewhere = exchange("https://a.example:8443/f", given=given, spaces=spaces)
    assert (authorization(elsewhere) or "").startswith("Basic ")


def test_the_proxy_is_that_of_the_download_or_of_each_host() -> None:
    proxies = OriginProxies(
        (
            ProxyConfig(name="office", url="http://proxy.example:3128", hosts=("b.example",)),
            ProxyConfig(name="abroad", url="socks5h://127.0.0.1", hosts=()),
        )
    )

    def name(made: Exchange) -> str | None:
        proxy = made.next_request().proxy
        return None if proxy is None else proxy.name

    by_host = exchange(proxies=proxies)
    named = exchange(given=RequestFields(proxy="abroad"), proxies=proxies)
    assert (name(by_host), name(named)) == (None, "abroad")
    for made in (by_host, named):
        made.must_continue(302, lines(Location="https://b.example/"))
    assert (name(by_host), name(named)) == ("office", "abroad")
    with pytest.raises(NetworkError, match="not configured any more") as caught:
        exchange(given=RequestFields(proxy="gone"), proxies=proxies).next_request()
    assert not caught.value.transient
