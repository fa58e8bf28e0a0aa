"""Request fields: sent to the origin of the URL, and shown and kept nowhere."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any
from urllib.request import parse_http_list

import aiohttp
import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess, make_config
from support.event_reader import open_event_stream
from support.file_tree import contents_below
from support.origin.content import expected_bytes
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.proxy_servers import run_http_proxy
from support.waiting import wait_until
from support.webhook_receiver import KEY, WebhookReceiver

SECRET = "hush4711"
FIELDS: dict[str, Any] = {
    "headers": {"X-Api-Key": f"key-{SECRET}"},
    "cookies": {"sid": f"cookie-{SECRET}"},
    "referer": f"https://pages.example/{SECRET}",
    "user_agent": f"Browser/{SECRET}",
    "auth": {"user": "ann", "password": SECRET},
}
SENT = {
    "X-Api-Key": f"key-{SECRET}",
    "Cookie": f"sid=cookie-{SECRET}",
    "Referer": f"https://pages.example/{SECRET}",
    "User-Agent": f"Browser/{SECRET}",
    "Authorization": aiohttp.encode_basic_auth("ann", SECRET),
}
SIZE = 300_000


async def start(daemon: DaemonProcess, url: str, **item: Any) -> str:
    """Start a download with a batch of one; return its id."""
    status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": [{"url": url, **item}]})
    assert status == 201, body
    return str(body["downloads"][0]["download_id"])


async def fetch(daemon: DaemonProcess, url: str, **item: Any) -> dict[str, Any]:
    """Start a download and return its entry once it has ended."""
    return await daemon.wait_until_finished(await start(daemon, url, **item))


def sent(request: Request) -> dict[str, str | None]:
    """Return those fields of a request that `SENT` has."""
    return {name: request.field(name) for name in SENT}


def has_secret(request: Request) -> bool:
    return any(SECRET.encode() in value for _, value in request.fields) or b"YW5u" in repr(request.fields).encode()


async def test_all_requests_to_the_origin_have_the_fields(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script(
        "/f", [ScriptedResponse(size=SIZE, etag='"v"', cut_after=1000), ScriptedResponse(size=SIZE, etag='"v"')]
    )
    entry = await fetch(daemon, origin.url("/f"), segments=4, **FIELDS)
    assert entry["status"] == "completed"
    assert daemon.files()["f"] == expected_bytes(0, 0, SIZE)
    requests = origin.requests("/f")
    assert len(requests) > 1
    assert requests[1].field("Range") is not None
    assert [sent(request) for request in requests] == [SENT] * len(requests)


async def test_redirects_and_mirrors_at_other_origins_get_none(daemon: DaemonProcess, origin: Origin) -> None:
    async with Origin(host="127.0.0.2") as other:
        origin.script("/same", redirect("/f"))
        origin.script("/f", ScriptedResponse(size=3))
        origin.script("/away", redirect(other.url("/back")))
        other.script("/back", redirect(origin.url("/f")))
        for path in ("/same", "/away"):
            assert (await fetch(daemon, origin.url(path), **FIELDS))["status"] == "completed"
        assert [sent(request) for request in origin.requests("/f")] == [SENT, SENT]
        origin.script("/missing", error_response(404))
        other.script("/mirror", ScriptedResponse(size=3))
        entry = await fetch(daemon, origin.url("/missing"), mirrors=[other.url("/mirror")], **FIELDS)
        assert entry["status"] == "completed"
        assert origin.requests("/missing")[0].field("X-Api-Key") == f"key-{SECRET}"
        for request in (*other.requests("/back"), *other.requests("/mirror")):
            assert not has_secret(request)
            assert (request.field("User-Agent") or "").startswith("downloadd/")


async def test_a_new_url_at_another_origin_gets_none(daemon: DaemonProcess, origin: Origin) -> None:
    async with Origin(host="127.0.0.2") as other:
        for each in (origin, other):
            each.script("/f", error_response(404))
        entry = await fetch(daemon, origin.url("/f"), **FIELDS)
        status, _ = await daemon.amend(entry["id"], url=other.url("/f"))
        assert status == 200
        await daemon.control(entry["id"], "retry")
        await other.wait_requested("/f")
        assert not has_secret(other.requests("/f")[0])
        # They are gone: the URL is the original one again.
        await daemon.wait_until_finished(entry["id"])
        await daemon.amend(entry["id"], url=origin.url("/f"))
        await daemon.control(entry["id"], "retry")
        await origin.wait_requested("/f", times=2)
        assert not has_secret(origin.requests("/f")[1])


# -- POST --------------------------------------------------------------------------------------------------------------


async def test_a_body_is_posted_and_a_broken_transfer_starts_over(daemon: DaemonProcess, origin: Origin) -> None:
    cut = ScriptedResponse(size=SIZE, etag='"v"', cut_after=200_000)
    origin.script("/export", [cut, ScriptedResponse(size=SIZE, etag='"v"')])
    post = {"method": "POST", "body": "a=1&b=ü", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    entry = await fetch(daemon, origin.url("/export"), filename="e", segments=4, **post)
    assert entry["status"] == "completed"
    assert daemon.files()["e"] == expected_bytes(0, 0, SIZE)
    assert [
        (request.method, request.body.decode(), request.field("Range")) for request in origin.requests("/export")
    ] == [("POST", "a=1&b=ü", None)] * 2
    assert origin.requests("/export")[0].field("Content-Type") == "application/x-www-form-urlencoded"


async def test_a_post_without_a_body_or_type_states_none(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    for body in ({}, {"body": "x"}):
        assert (await fetch(daemon, origin.url("/f"), method="POST", conflict="overwrite", **body))[
            "status"
        ] == "completed"
    empty, text = origin.requests("/f")
    assert (empty.method, empty.field("Content-Length"), empty.field("Content-Type")) == ("POST", "0", None)
    assert (text.body, text.field("Content-Type")) == (b"x", None)


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
async def test_a_redirect_keeps_or_drops_the_method(
    daemon: DaemonProcess, origin: Origin, status: int, method: str
) -> None:
    origin.script("/form", redirect("/f", status=status))
    origin.script("/f", ScriptedResponse(size=3))
    item = {"method": "POST", "body": "secret", "headers": {"Content-Type": "text/plain", "X-Key": "k"}}
    assert (await fetch(daemon, origin.url("/form"), **item))["status"] == "completed"
    [request] = origin.requests("/f")
    assert (request.method, request.field("X-Key")) == (method, "k")
    assert (request.body, request.field("Content-Type")) == (
        (b"secret", "text/plain") if method == "POST" else (b"", None)
    )


async def test_a_body_is_not_sent_to_another_origin(daemon: DaemonProcess, origin: Origin) -> None:
    async with Origin(host="127.0.0.2") as other:
        origin.script("/form", redirect(other.url("/f"), status=307))
        entry = await fetch(daemon, origin.url("/form"), method="POST", body=SECRET)
        assert (entry["status"], entry["error"]) == ("failed", "REMOTE_ERROR")
        assert "redirects a POST to another origin" in entry["detail"]
        assert other.connections == 0


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "detail"),
    [
        ({"headers": {"Host": SECRET}}, "headers: Host cannot be set: it is taken from the URL"),
        ({"headers": {"X-A": f"{SECRET}\r\nHost: x"}}, "the value of header field X-A holds a line break"),
        ({"headers": {f"Bearer {SECRET}": "x"}}, "the name of header field number 1"),
        ({"headers": {"X-A": 7}}, "headers"),
        ({"headers": [SECRET]}, "headers"),
        ({"cookies": {"a": f"{SECRET}; b"}}, "cookies: "),
        ({"auth": {"user": "a:b", "password": SECRET}}, "auth: user may not hold a colon"),
        ({"auth": {"user": "a", "pasword": SECRET}}, "pasword"),
        ({"auth": SECRET}, "auth"),
        ({"body": SECRET}, "body: is given without the method POST"),
        ({"method": "PUT"}, "method"),
        ({"referer": f"a b {SECRET}"}, "referer: "),
    ],
)
async def test_a_wrong_field_refuses_its_item_alone(
    daemon: DaemonProcess, origin: Origin, item: dict[str, Any], detail: str
) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    batch = {"downloads": [{"url": origin.url("/f"), **item}, {"url": origin.url("/f"), "filename": "right"}]}
    status, body = await daemon.request("POST", "/api/v1/downloads", json=batch)
    wrong, right = body["downloads"]
    assert (status, wrong["error"], right["error"]) == (201, "INVALID_PARAMETER", None)
    assert detail in wrong["detail"]
    await daemon.wait_until_finished(right["download_id"])
    assert SECRET not in f"{body} {await daemon.history()} {daemon.log.read_text()}"
    assert set(daemon.files()) == {"right"}


async def test_the_query_takes_no_request_field(daemon: DaemonProcess) -> None:
    for name in ("headers", "referer", "auth", "body"):
        status, body = await daemon.request("GET", "/d", params={"download": "http://127.0.0.1/", name: SECRET})
        assert (status, body["error"]) == (400, "INVALID_PARAMETER")


# -- secrets -----------------------------------------------------------------------------------------------------------


async def test_fields_survive_a_kill_and_are_nowhere_after_the_end(tmp_path: Path, origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"', body_event=release))
    async with WebhookReceiver() as receiver:
        hook = (
            f'[[hooks]]\nname = "h"\nevents = ["completed", "failed", "cancelled"]\nurl = "{receiver.url}"\n'
            f'secret = "{KEY}"\n'
        )
        daemon = DaemonProcess(
            tmp_path, config=make_config() + hook, flags=("--allow-download", "--log-level", "debug")
        )
        await daemon.start()
        body = {"method": "POST", "body": f"body-{SECRET}"}
        id = await start(daemon, origin.url("/f"), **FIELDS, **body)
        await origin.wait_requested("/f")
        await daemon.kill()
        assert SECRET.encode() in state_bytes(daemon)
        release.set()
        await daemon.start()
        async with open_event_stream(daemon) as reader:
            shown: list[Any] = [await daemon.wait_until_finished(id), await daemon.active(), await daemon.history()]
            origin.script("/held", ScriptedResponse(size=SIZE, stall_after=10))
            held = await start(daemon, origin.url("/held"), **FIELDS)
            await origin.wait_sent("/held", 10)
            shown.append(await daemon.get_download(held))
            shown.append(await daemon.active())
            shown.append(await daemon.control(held, "cancel"))
            await reader.wait_until(lambda: reader.entries("history", held))
            events = repr(reader.events)
        assert daemon.client is not None
        async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
            shown.append(await response.text())
        deliveries = await wait_until(lambda: receiver.messages if len(receiver.messages) == 2 else None)
        assert await daemon.stop() == 0
    assert [request.body.decode() for request in origin.requests("/f")] == [f"body-{SECRET}"] * 2
    assert [sent(request) for request in origin.requests("/f")] == [SENT] * 2
    for text in (repr(shown), events, repr(deliveries), daemon.log.read_text()):
        assert SECRET not in text
    assert SECRET.encode() not in state_bytes(daemon)


def state_bytes(daemon: DaemonProcess) -> bytes:
    return b"".join(contents_below(daemon.state).values())


async def test_configured_credentials_yield_to_the_fields_of_a_download(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    configured = (
        '[[credentials]]\nhost = "127.0.0.1"\nheaders = { "X-Api-Key" = "c", "X-Other" = "o" }\n'
        'cookies = { sid = "c" }\nreferer = "https://c/"\nuser_agent = "C"\nuser = "c"\n'
    )
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG + configured) as daemon:
        for fields in (FIELDS, {"conflict": "overwrite"}):
            assert (await fetch(daemon, origin.url("/f"), **fields))["status"] == "completed"
    first, second = origin.requests("/f")
    assert sent(first) == SENT
    assert first.field("X-Other") == "o"
    assert sent(second) == {
        "X-Api-Key": "c",
        "Cookie": "sid=c",
        "Referer": "https://c/",
        "User-Agent": "C",
        "Authorization": aiohttp.encode_basic_auth("c", ""),
    }


async def test_logins_of_a_netrc_file_are_sent_to_their_hosts_and_reloaded(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    netrc = tmp_path / "netrc"
    netrc.touch(mode=0o600)
    netrc.write_text(f"machine 127.0.0.1 login ann password {SECRET}\n")
    config = make_config(netrc=str(netrc))
    async with DaemonProcess(tmp_path, config=config) as daemon, Origin(host="127.0.0.2") as other:
        other.script("/f", ScriptedResponse(size=3))
        for server in (origin, other):
            assert (await fetch(daemon, server.url("/f"), conflict="overwrite"))["status"] == "completed"
        netrc.write_text("machine 127.0.0.1 login bob password p\n")
        await daemon.reload(config)
        assert (await fetch(daemon, origin.url("/f"), conflict="overwrite"))["status"] == "completed"
        netrc.chmod(0o644)
        await daemon.reload(config, "reload_refused")
        log = daemon.log.read_text()
    assert [request.field("Authorization") for request in (*origin.requests("/f"), *other.requests("/f"))] == [
        aiohttp.encode_basic_auth("ann", SECRET),
        aiohttp.encode_basic_auth("bob", "p"),
        None,
    ]
    assert "chmod 600" in log
    assert SECRET not in log


# -- cookies -----------------------------------------------------------------------------------------------------------


async def test_cookies_of_a_redirect_are_sent_in_all_requests_of_its_download_only(
    daemon: DaemonProcess, origin: Origin
) -> None:
    # Long enough for several connections.
    large = ScriptedResponse(size=16_000_000, etag='"v"', rate=8_000_000)

    def respond(request: Request) -> ScriptedResponse:
        """Let a client have the file once it has a cookie, as pages before a file do."""
        if "pass=" in (request.field("Cookie") or ""):
            return large
        cookies = [("Set-Cookie", "pass=1; Path=/"), ("Set-Cookie", "sid=theirs"), ("Set-Cookie", "x=y; Domain=com")]
        return ScriptedResponse(status=302, headers=[("Location", request.target.decode()), *cookies])

    origin.set_fallback(respond)
    async with Origin(host="127.0.0.2") as other:
        other.script("/f", large)
        for _ in range(2):
            item = {"mirrors": [other.url("/f")], "conflict": "overwrite", "cookies": {"sid": "mine", "mine": "1"}}
            entry = await fetch(daemon, origin.url("/f"), segments=4, **item)
            assert entry["status"] == "completed"
        assert {request.field("Cookie") for request in other.requests("/f")} == {None}
    sent_cookies = [request.field("Cookie") for request in origin.requests("/f")]
    assert sent_cookies.count("sid=mine; mine=1") == 2
    assert set(sent_cookies) == {"sid=mine; mine=1", "mine=1; pass=1; sid=theirs"}
    assert len(sent_cookies) > 4
    assert "theirs" not in daemon.log.read_text()
    assert b"theirs" not in state_bytes(daemon)


# -- Digest ------------------------------------------------------------------------------------------------------------


class DigestOrigin:
    """Rules of an origin that accepts Digest only, with nonces for a number of requests each."""

    def __init__(self, uses: int) -> None:
        self.uses = uses
        self.nonces = 0
        self.counts: list[int] = []
        self.refused = 0

    def respond(self, request: Request) -> ScriptedResponse:
        """Return the file if the request proves the password `SECRET` of the user `ann`, else a challenge."""
        authorization = request.field("Authorization") or ""
        parameters = parse_http_list(authorization.removeprefix("Digest "))
        values = {name: value.strip('"') for name, _, value in (each.partition("=") for each in parameters)}

        def digest(*texts: str) -> str:
            return hashlib.sha256(":".join(texts).encode()).hexdigest()

        is_current = authorization.startswith("Digest ") and values["nonce"] == f"n{self.nonces}"
        if authorization.startswith("Digest "):
            key = digest("ann", "the files", SECRET)
            middle = (values["nonce"], values["nc"], values["cnonce"], values["qop"])
            target = digest(request.method, request.target.decode())
            is_right = values["response"] == digest(key, *middle, target)
            if is_right and is_current and int(values["nc"], 16) <= self.uses:
                self.counts.append(int(values["nc"], 16))
                return ScriptedResponse(size=SIZE, etag='"v"', cut_after=100_000 if len(self.counts) < 3 else None)
            self.refused += 1
            stale = ", stale=true" if is_right else ""
        else:
            stale = ""
        self.nonces += 1
        challenge = f'Digest realm="the files", qop="auth", algorithm=SHA-256, nonce="n{self.nonces}"{stale}'
        return ScriptedResponse(status=401, headers=[("WWW-Authenticate", challenge), ("WWW-Authenticate", "Basic")])


@pytest.mark.parametrize(("uses", "counts"), [(9, [1, 2, 3]), (1, [1, 1, 1])], ids=["one nonce", "stale nonces"])
async def test_digest_is_answered_and_its_nonce_used_again(
    daemon: DaemonProcess, origin: Origin, uses: int, counts: list[int]
) -> None:
    rules = DigestOrigin(uses)
    origin.set_fallback(rules.respond)
    entry = await fetch(daemon, origin.url("/a,b?x=1"), auth={"user": "ann", "password": SECRET})
    assert entry["status"] == "completed", entry
    assert next(iter(daemon.files().values())) == expected_bytes(0, 0, SIZE)
    assert rules.counts == counts
    assert rules.refused == (0 if uses > 1 else 2)


async def test_a_wrong_password_is_an_error_after_one_answer(daemon: DaemonProcess, origin: Origin) -> None:
    rules = DigestOrigin(9)
    origin.set_fallback(rules.respond)
    url = origin.url("/f").replace("://", "://ann:wrong@")
    entry = await fetch(daemon, url)
    assert (entry["status"], entry["error"]) == ("failed", "REMOTE_ERROR")
    assert entry["detail"].startswith("the origin answered 401: it refused user and password")
    fields = [request.field("Authorization") or "" for request in origin.requests("/f")]
    assert [field.partition(" ")[0] for field in fields] == ["Basic", "Digest"]
    missing = await fetch(daemon, origin.url("/g"))
    assert "it needs a user and password: state auth" in missing["detail"]


# -- proxies -----------------------------------------------------------------------------------------------------------


async def test_a_download_uses_the_proxy_of_its_host_or_the_one_that_it_names(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    (tmp_path / "proxy").mkdir()
    with run_http_proxy(tmp_path / "proxy", user="u", password=SECRET) as proxy:
        table = f'[[proxies]]\nname = "office"\nurl = "http://u:{SECRET}@127.0.0.1:{proxy.port}"\nhosts = {{}}\n'
        config = make_config() + table
        async with DaemonProcess(tmp_path, config=config.replace("{}", '["127.0.0.1"]')) as daemon:
            assert (await fetch(daemon, origin.url("/f")))["status"] == "completed"
            asked = [f"GET {origin.url('/f')} HTTP/1.1"]
            assert proxy.requests() == asked
            await daemon.reload(config.replace("{}", "[]"))
            assert (await fetch(daemon, origin.url("/f")))["status"] == "completed"
            assert proxy.requests() == asked
            assert (await fetch(daemon, origin.url("/f"), proxy="office"))["status"] == "completed"
            assert proxy.requests() == asked * 2
            assert SECRET not in daemon.log.read_text()
        assert all(request.field("Proxy-Authorization") is None for request in origin.requests("/f"))


async def test_a_download_whose_proxy_is_away_never_connects_directly(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    table = '[[proxies]]\nname = "office"\nurl = "socks5://127.0.0.1:1"\n'
    async with DaemonProcess(tmp_path, config=make_config(max_retries=0, retry_for=1) + table) as daemon:
        entry = await fetch(daemon, origin.url("/f"))
        assert entry["error"] == "NETWORK_ERROR"
        assert "the proxy office could not be" in entry["detail"]
    assert origin.connections == 0
