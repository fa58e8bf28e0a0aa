"""Checks of `Host` and `Origin`, and throttling of failed logins."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from support.served_api import AUTH, ServedApi

from downloadd.errors import CrossSiteError, HostNotAllowedError, TooManyFailedLoginsError
from downloadd.fronts.rest.request_guards import MAX_TRACKED_ADDRESSES, AllowedHosts, LoginThrottle, reject_cross_site
from downloadd.policy.proxies import Client

NAMES = AllowedHosts(("nas",), ("dl.example.com", "*.lan"))


def fields(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8080", "10.1.2.3:80", "[::1]", "[::1]:8080", "[fe80::1]:8080", "203.0.113.9",
        "localhost", "localhost:8080", "LOCALHOST.", "app.localhost:3000", "nas", "NAS:8080", "dl.example.com",
        "dl.example.com:443", "x.lan", "a.b.lan:1", "lan", "downloadd:8080", "a",
    ],
)  # fmt: skip
def test_addresses_and_names_of_this_server_are_accepted(host: str) -> None:
    NAMES.require(host)


@pytest.mark.parametrize(
    "host",
    [
        "", " ", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.0.0.1.nip.io:8080", "nas.evil.example", "example.com", "dl.example.com.evil.example",
        "dl.example.com@evil.example", "evil.example/dl.example.com", "evil.example#dl.example.com", "nas,evil.example",
        "nas evil.example", "[::1", "[evil.example]", "nas:80:80", "\udcff", "n\u0430s.example", "evil.example:127",
        "nas\t.evil.example", "a" * 300,
    ],
)  # fmt: skip
def test_other_addresses_and_names_are_refused(host: str) -> None:
    with pytest.raises(HostNotAllowedError):
        NAMES.require(host)


@given(st.text(max_size=40))
def test_any_host_field_is_accepted_or_refused_without_another_error(host: str) -> None:
    with suppress(HostNotAllowedError):
        NAMES.require(host)


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        (("Sec-Fetch-Site", "same-origin"),),
        (("Sec-Fetch-Site", "none"),),
        (("Origin", "http://nas:8080"), ("Host", "nas:8080")),
        (("Origin", "http://NAS"), ("Host", "nas:80")),
        (("Origin", "https://dl.example.com"), ("Host", "dl.example.com")),
        (("Origin", "https://dl.example.com"), ("Host", "dl.example.com:443")),
        (("Origin", "http://[::1]:8080"), ("Host", "[::1]:8080")),
        (("Origin", "http://[::1]"), ("Host", "[::1]")),
        (("Origin", "http://nas"), ("Origin", "http://nas:80"), ("Host", "nas")),
        (("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "none")),
    ],
)
def test_programs_and_the_page_of_the_daemon_are_accepted(pairs: tuple[tuple[str, str], ...]) -> None:
    reject_cross_site(fields(*pairs), Client(address="192.0.2.1"))


@pytest.mark.parametrize(
    "pairs",
    [
        (("Sec-Fetch-Site", "cross-site"),),
        (("Sec-Fetch-Site", "same-site"),),
        (("Sec-Fetch-Site", ""),),
        (("Sec-Fetch-Site", "Cross-Site"), ("Origin", "http://nas"), ("Host", "nas")),
        (("Origin", "null"), ("Host", "nas")),
        (("Origin", ""), ("Host", "nas")),
        (("Origin", "http://nas"),),
        (("Origin", "http://evil.example"), ("Host", "nas")),
        (("Origin", "http://nas:81"), ("Host", "nas:80")),
        (("Origin", "http://nas"), ("Host", "nas:8080")),
        (("Origin", "https://nas"), ("Host", "nas:80")),
        (("Origin", "http://nas.evil.example"), ("Host", "nas")),
        (("Origin", "file://nas"), ("Host", "nas")),
        (("Origin", "chrome-extension://nas"), ("Host", "nas")),
        (("Origin", "http://evil@nas"), ("Host", "nas")),
        (("Origin", "http://[::1]:8080"), ("Host", "[::1]")),
        (("Origin", "http://nas"), ("Origin", "http://evil.example"), ("Host", "nas")),
        (("Origin", "http://evil.example"), ("Origin", "http://nas"), ("Host", "nas")),
        (("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")),
        (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-origin")),
        (("Sec-Fetch-Site", "same-origin, cross-site"),),
    ],
)
def test_pages_of_other_sites_are_refused(pairs: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(CrossSiteError):
        reject_cross_site(fields(*pairs), Client(address="192.0.2.1"))


def test_an_authority_in_the_target_determines_the_page_of_the_daemon() -> None:
    headers, client = fields(("Origin", "http://nas"), ("Host", "localhost")), Client(address="192.0.2.1")
    reject_cross_site(headers, client, "nas")
    for authority in ("localhost", "", None):
        with pytest.raises(CrossSiteError):
            reject_cross_site(headers, client, authority)


@pytest.mark.parametrize(
    ("pairs", "client", "advice"),
    [
        pytest.param(
            (("Host", "127.0.0.1:8080"),),
            Client(address="10.0.0.5"),
            "the host of this server is 127.0.0.1:8080; if a proxy forwards to it, have the proxy send the Host field",
            id="Host of the upstream",
        ),
        pytest.param(
            (("Host", "backend"), ("X-Forwarded-Host", "dl.example.com")),
            Client(address="10.0.0.5"),
            "the host of this server is backend; X-Forwarded-Host is dl.example.com, but its sender is not trusted: "
            "add the proxy to server.trusted_proxies",
            id="proxy that is not trusted",
        ),
        pytest.param(
            (("Host", "backend"), ("Forwarded", "host=dl.example.com")),
            Client(address="10.0.0.5"),
            "Forwarded is host=dl.example.com, but its sender is not trusted",
            id="Forwarded of a proxy that is not trusted",
        ),
        pytest.param(
            (("Host", "backend"), ("X-Forwarded-Host", "inner.example.com")),
            Client(address="9.9.9.9", host="inner.example.com"),
            "the host of this server is inner.example.com; have the proxy send in X-Forwarded-Host the Host field",
            id="X-Forwarded-Host of another proxy",
        ),
        pytest.param(
            (("Host", "dl.example.com"),),
            Client(address="9.9.9.9", scheme="http"),
            "the host of this server is dl.example.com; X-Forwarded-Proto is http: have the proxy send the scheme",
            id="scheme",
        ),
    ],
)
def test_a_refused_origin_is_named_with_the_host_and_what_to_change(
    pairs: tuple[tuple[str, str], ...], client: Client, advice: str
) -> None:
    with pytest.raises(CrossSiteError) as refused:
        reject_cross_site(fields(("Origin", "https://dl.example.com"), *pairs), client)
    assert "Origin is https://dl.example.com, " in refused.value.detail
    assert advice in refused.value.detail


def test_a_refused_host_is_named_with_its_field_and_the_setting() -> None:
    def refusal(client: Client, *pairs: tuple[str, str], authority: str | None = None) -> str:
        with pytest.raises(HostNotAllowedError) as refused:
            NAMES.require_all(fields(*pairs), client, authority)
        return refused.value.detail

    inner, outer = ("Host", "inner.example.org"), ("X-Forwarded-Host", "dl.example.com")
    setting = "is not a name of this server; add it to server.allowed_hosts if it is"
    peer = Client(address="10.0.0.5")
    assert refusal(peer, inner) == f"Host: inner.example.org {setting}"
    assert "inner.example.org is not a name of this server (X-Forwarded-Host is dl.example.com);" in refusal(
        peer, inner, outer
    )
    behind = Client(address="9.9.9.9", host="inner.example.org")
    assert (
        refusal(behind, ("X-Forwarded-Host", "inner.example.org")) == f"X-Forwarded-Host: inner.example.org {setting}"
    )
    assert refusal(behind, ("Forwarded", "host=inner.example.org")) == f"Forwarded: inner.example.org {setting}"
    assert refusal(peer, authority="inner.example.org").startswith("request target: inner.example.org ")
    with pytest.raises(HostNotAllowedError, match=r"of this server, which was reached at 10\.0\.0\.1:80; add it"):
        NAMES.require_all(fields(inner), peer, reached_at=lambda: "10.0.0.1:80")
    # On a Unix socket only the proxy names a host that counts.
    NAMES.require_all(fields(inner), Client(address=""), None)


@given(st.text(), st.text(), st.text())
def test_any_field_can_be_shown(origin: str, host: str, forwarded: str) -> None:
    headers = fields(("Origin", origin), ("Host", host), ("X-Forwarded-Host", forwarded), ("Sec-Fetch-Site", "none"))
    for check in (reject_cross_site, NAMES.require_all):
        try:
            check(headers, Client(address="192.0.2.1"))
        except (CrossSiteError, HostNotAllowedError) as error:
            # JSON and the log are UTF-8.
            error.detail.encode()


# -- failed logins -----------------------------------------------------------------------------------------------------


def failures_until_throttled(throttle: LoginThrottle, address: str, *, now: float = 0.0, most: int = 1000) -> int:
    for count in range(most):
        guess = hash((now, count))
        try:
            throttle.require_not_throttled(address, None, now=now)
        except TooManyFailedLoginsError:
            return count
        throttle.record_failure(address, guess, now=now)
    return most


def test_an_address_with_too_many_failed_logins_is_throttled_for_a_time() -> None:
    throttle = LoginThrottle(6)
    assert failures_until_throttled(throttle, "192.0.2.1") == 6
    with pytest.raises(TooManyFailedLoginsError) as refused:
        throttle.require_not_throttled("192.0.2.1", "alice", now=0)
    assert refused.value.retry_after == pytest.approx(10)
    throttle.require_not_throttled("192.0.2.1", None, now=10)
    assert failures_until_throttled(throttle, "192.0.2.1", now=30) == 3
    assert failures_until_throttled(throttle, "192.0.2.1", now=10_000) == 6


def test_repeating_the_same_wrong_token_counts_little() -> None:
    throttle = LoginThrottle(6)
    for _ in range(40):
        throttle.require_not_throttled("192.0.2.1", None, now=0)
        throttle.record_failure("192.0.2.1", 7, now=0)
    for _ in range(10):
        throttle.record_failure("192.0.2.1", 7, now=0)
    with pytest.raises(TooManyFailedLoginsError):
        throttle.require_not_throttled("192.0.2.1", None, now=0)


def test_other_addresses_are_not_throttled() -> None:
    throttle = LoginThrottle(1)
    throttle.record_success("192.0.2.1", "alice")
    assert failures_until_throttled(throttle, "192.0.2.1") == 1
    throttle.require_not_throttled("192.0.2.2", None, now=0)
    throttle.require_not_throttled("192.0.2.1", "alice", now=0)
    with pytest.raises(TooManyFailedLoginsError):
        throttle.require_not_throttled("192.0.2.1", "bob", now=0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_a_network_of_one_owner_counts_as_one_address(one: str, other: str, same: bool) -> None:
    throttle = LoginThrottle(1)
    throttle.record_failure(one, 0, now=0)
    assert (failures_until_throttled(throttle, other) == 0) is same


def test_without_a_limit_no_address_is_throttled() -> None:
    assert failures_until_throttled(LoginThrottle(0), "192.0.2.1", most=50) == 50


def test_the_state_of_the_throttle_does_not_grow() -> None:
    throttle = LoginThrottle(1)
    for number in range(MAX_TRACKED_ADDRESSES + 10):
        throttle.record_failure(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0, now=0)
        throttle.record_success(str(number), "alice")
    assert len(throttle._failures) == len(throttle._trusted) == MAX_TRACKED_ADDRESSES


# -- over HTTP ---------------------------------------------------------------------------------------------------------


async def test_request_guards_apply_to_every_endpoint_that_needs_a_token(api: ServedApi) -> None:
    for method, target in (("GET", "/d?download=http://a.example/f"), ("POST", "/api/v1/downloads"),
                           ("GET", "/api/v1/events"), ("GET", "/api/v1/openapi.json")):  # fmt: skip
        status, _, body = await api.raw(method, target, "Origin: http://evil.example")
        assert (status, b"CROSS_SITE_REQUEST" in body) == (403, True)
        request = f"{method} {target} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: {AUTH['Authorization']}\r\n"
        answer = await api.exchange(f"{request}Connection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 421 ")
        assert b"HOST_NOT_ALLOWED" in answer
    assert api.manager.downloads == {}


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /api/v1/health HTTP/1.1\r\n", 400),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: api\r\nHost: api\r\n", 400),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: evil.example\r\n", 421),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: api\r\nOrigin: http://evil.example\r\n", 200),
        (b"GET /api/v1/health HTTP/1.0\r\n", 200),
    ],
)
async def test_one_host_field_is_required_except_for_health(api: ServedApi, request_head: bytes, status: int) -> None:
    answer = await api.exchange(request_head + b"Connection: close\r\n\r\n")
    assert int(answer.split()[1]) == status, answer


@pytest.mark.parametrize(
    ("authority", "status"),
    [("api", 200), ("API:8080", 200), ("127.0.0.1", 200), ("evil.example", 421), ("api@evil.example", 421), ("", 421)],
)
async def test_the_authority_of_a_target_must_be_allowed_with_any_host_field(
    api: ServedApi, authority: str, status: int
) -> None:
    target = f"http://{authority}/api/v1/downloads"
    if authority:
        assert (await api.raw("GET", target))[0] == status
    # A valid authority does not replace a wrong field either.
    request = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert int((await api.exchange(request.encode())).split()[1]) == (421 if authority else 400)


async def test_a_throttled_client_gets_429_with_any_token() -> None:
    served = ServedApi(failed_logins=3)
    async with served.client as client:

        async def guess(token: str) -> int:
            return (await client.get("/api/v1/downloads", headers={"Authorization": f"Bearer {token}"})).status

        statuses = [await guess(token) for token in "abcde"]
        assert statuses == [401, 401, 401, 429, 429]
        refused = await client.get("/api/v1/downloads")
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) == 20
        assert (await refused.json())["error"] == "TOO_MANY_FAILED_LOGINS"
        served.clock.now += 20
        assert (await client.get("/api/v1/downloads")).status == 200
        # The address is trusted for this user: failures of others do not matter.
        assert [await guess(token) for token in "fghi"][-1] == 429
        assert (await client.get("/api/v1/downloads")).status == 200


async def test_a_request_without_credentials_is_not_a_failed_login() -> None:
    served = ServedApi(failed_logins=1)
    async with served.client:
        for _ in range(3):
            answer = await served.exchange(b"GET /api/v1/downloads HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401 ")
