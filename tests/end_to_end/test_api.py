"""HTTP API of the daemon: its document, permissions, durability across kills, and secrets."""

import asyncio
import base64
import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.daemon_process import DEFAULT_CONFIG, TOKEN, USER, DaemonProcess, make_config
from support.event_reader import open_event_stream
from support.fake_resolver import daemon_with_hosts
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.waiting import CONDITION_TIMEOUT, wait_until
from yarl import URL

UNAUTHORIZED = {"success": False, "error": "unauthorized"}
PERMISSION_MISSING = {
    "success": False,
    "error": "User does not have the permissions required for this action [error-unauthorized]",
}
FORBIDDEN = {"success": False, "error": "DOWNLOAD_FORBIDDEN"}

ISOLATED = make_config(allowed_domains=["origin.test"], max_retries=0, retry_for=1).replace(
    'allowed_networks = ["127.0.0.0/8", "::1/128"]\n', ""
)
"""Configuration under which no download succeeds: the only allowed host does not exist."""


def users(**permissions: list[str]) -> str:
    """Return a configuration with these users added; the token of each is its name and `-token`."""
    tables = [
        f'[[users]]\nid = "{name}"\ntoken_hash = "sha256:{hashlib.sha256(f"{name}-token".encode()).hexdigest()}"\n'
        f"permissions = {json.dumps(granted)}\n"
        for name, granted in permissions.items()
    ]
    # Each endpoint is asked with every kind of wrong credentials.
    return "[server]\nmax_failed_logins = 0\n" + DEFAULT_CONFIG + "".join(tables)


def bearer(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {user}-token"}


@pytest.fixture
async def anonymous() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client without credentials."""
    async with aiohttp.ClientSession() as client:
        yield client


# -- the document ------------------------------------------------------------------------------------------------------


async def test_the_served_document_is_valid_openapi(daemon: DaemonProcess) -> None:
    status, document = await daemon.request("GET", "/api/v1/openapi.json")
    assert status == 200
    OpenAPIV31SpecValidator(document).validate()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    tested = {(method, path.partition("?")[0].replace(ID, "{id}")) for method, path in ENDPOINTS}
    health = {(method, "/api/v1/health") for method in ("GET", "HEAD")}
    assert {(method, "/{directory}" if path == "/d" else path) for method, path in tested} | health == described


EXPECTED = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 502, 504, 507]
"""
"""Statuses that report the failure of a download that was waited for, not of the daemon."""

KNOWN_VALUES = """
[parameters]
id = "{id}"
download = "http://origin.test/f"
wait = "1"
"""
"""Shorter than the request timeout: the origin cannot be reached, so that the download never ends."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "with_known_values",
    [
        pytest.param(False, id="generated values", marks=pytest.mark.exhaustive),
        pytest.param(True, id="known download"),
    ],
)
async def test_every_response_to_schemathesis_conforms_to_the_document(tmp_path: Path, with_known_values: bool) -> None:
    async with daemon_with_hosts(tmp_path, ISOLATED) as daemon:
        settings = tmp_path / "schemathesis.toml"
        settings.write_text(EXPECTED)
        if with_known_values:
            id = (await daemon.start_download("d", "http://origin.test/f"))["download_id"]
            settings.write_text(EXPECTED + KNOWN_VALUES.format(id=id))
        # A known value replaces the one that was generated as invalid, and is accepted correctly.
        mended = ",negative_data_rejection" if with_known_values else ""
        # All three fields are set, because generated ones would contradict each other.
        credentials = (f"Authorization: Bearer {TOKEN}", f"X-User-Id: {USER}", f"X-Auth-Token: {TOKEN}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"),
            f"{daemon.url}/api/v1/openapi.json",
            *(option for field in credentials for option in ("--header", field)),
            *("--checks", "all", "--exclude-checks", f"positive_data_acceptance{mended}"),
            # An event stream does not end.
            *("--exclude-path", "/api/v1/events"),
            *("--max-examples", "2", "--continue-on-failure", "--request-timeout", "30", "--no-color"),
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        lines = [line for line in daemon.log_lines() if line["event"] == "request"]
        statuses = Counter(line["status"] for line in lines)
        assert statuses[400] > 50
        assert {status for status in statuses if status >= 500} <= {502, 504, 507}
        if with_known_values:
            assert statuses[201] > 0
        assert "Traceback" not in daemon.log.read_text()
        assert daemon.files() == {}
        assert (await daemon.request("GET", "/api/v1/health"))[0] == 200


# -- permissions -------------------------------------------------------------------------------------------------------

ID = str(uuid4())
ONE = f"/api/v1/downloads/{ID}"
START = "/d?download=http%3A%2F%2F127.0.0.1%3A1025%2Ff"
ENDPOINTS = {
    ("GET", START): "download",
    ("GET", START.replace("/d?", "/?")): "download",
    ("GET", "/d?downloads="): "view-downloads",
    ("HEAD", "/d?downloads="): "view-downloads",
    ("GET", "/?downloads="): "view-downloads",
    ("GET", "/d?files="): "read-files",
    ("HEAD", "/d?files="): "read-files",
    ("GET", "/?files="): "read-files",
    ("GET", "/?download_history="): "view-downloads",
    ("HEAD", "/?download_history="): "view-downloads",
    ("DELETE", "/?download_history="): "download",
    ("POST", "/api/v1/storage/accept"): "download",
    ("GET", "/api/v1/downloads"): "view-downloads",
    ("HEAD", "/api/v1/downloads"): "view-downloads",
    ("POST", "/api/v1/downloads"): "download",
    ("POST", "/api/v1/probe"): "download",
    ("POST", "/api/v1/explain"): "download",
    ("GET", ONE): "view-downloads",
    ("HEAD", ONE): "view-downloads",
    ("GET", f"{ONE}/file"): "read-files",
    ("HEAD", f"{ONE}/file"): "read-files",
    ("POST", f"{ONE}/link"): "read-files",
    ("DELETE", ONE): "download",
    ("PATCH", ONE): "download",
    ("POST", f"{ONE}/pause"): "download",
    ("POST", f"{ONE}/move"): "download",
    ("POST", "/api/v1/downloads/actions"): "download",
    ("POST", "/api/v1/downloads/pause"): "download",
    ("POST", "/api/v1/downloads/resume"): "download",
    ("POST", f"{ONE}/resume"): "download",
    ("POST", f"{ONE}/retry"): "download",
    ("POST", "/api/v1/uploadImportFile"): "run-import",
    ("POST", "/api/v1/imports"): "run-import",
    ("POST", "/api/v1/downloadPublicImportFile"): "run-import",
    ("GET", "/api/v1/getImportFileData"): "run-import",
    ("GET", "/api/v1/getImportProgress"): "run-import",
    ("POST", "/api/v1/startImport"): "run-import",
    ("POST", "/api/v1/downloadPendingFiles"): "run-import",
    ("POST", "/api/v1/downloadPendingAvatars"): "run-import",
    ("GET", "/api/v1/getCurrentImportOperation"): "run-import",
    ("GET", "/api/v1/getLatestImportOperations"): "view-import-operations",
    ("DELETE", f"/api/v1/imports/{ID}"): "run-import",
    ("GET", f"/api/v1/imports/{ID}/skipped"): "run-import",
    ("HEAD", f"/api/v1/imports/{ID}/skipped"): "run-import",
    ("GET", "/api/v1/events"): "view-downloads",
    ("GET", "/api/v1/metrics"): "view-downloads",
    ("HEAD", "/api/v1/metrics"): "view-downloads",
    ("GET", "/api/v1/hosts"): "view-downloads",
    ("HEAD", "/api/v1/hosts"): "view-downloads",
    ("GET", "/api/v1/nodes"): "view-downloads",
    ("HEAD", "/api/v1/nodes"): "view-downloads",
    ("GET", "/api/v1/quota"): "view-downloads",
    ("HEAD", "/api/v1/quota"): "view-downloads",
    ("GET", "/api/v1/settings"): "view-downloads",
    ("HEAD", "/api/v1/settings"): "view-downloads",
    ("PATCH", "/api/v1/settings"): "download",
    ("GET", "/api/v1/schedules"): "view-downloads",
    ("HEAD", "/api/v1/schedules"): "view-downloads",
    ("POST", "/api/v1/schedules"): "download",
    ("GET", f"/api/v1/schedules/{ID}"): "view-downloads",
    ("HEAD", f"/api/v1/schedules/{ID}"): "view-downloads",
    ("PATCH", f"/api/v1/schedules/{ID}"): "download",
    ("DELETE", f"/api/v1/schedules/{ID}"): "download",
    ("POST", f"/api/v1/schedules/{ID}/run"): "download",
    ("GET", "/api/v1/users"): "manage-users",
    ("HEAD", "/api/v1/users"): "manage-users",
    ("POST", "/api/v1/users"): "manage-users",
    ("POST", f"/api/v1/users/{ID}/rotate"): "manage-users",
    ("DELETE", f"/api/v1/users/{ID}"): "manage-users",
    ("GET", "/api/v1/directories"): "view-downloads",
    ("HEAD", "/api/v1/directories"): "view-downloads",
    ("GET", "/api/v1/errors"): "",
    ("HEAD", "/api/v1/errors"): "",
    ("GET", "/api/v1/openapi.json"): "",
    ("HEAD", "/api/v1/openapi.json"): "",
}
"""Permission that each endpoint requires; "": only a valid token."""

STRANGERS = {
    "nobody": {},
    "empty token": {"Authorization": "Bearer "},
    "wrong token": {"Authorization": "Bearer wrong"},
    "hash for token": {"Authorization": f"Bearer sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"},
    "wrong scheme": {"Authorization": f"Basic {TOKEN}"},
    "id alone": {"X-User-Id": USER},
    "token without id": {"X-Auth-Token": TOKEN},
    "somebody else's id": {"X-User-Id": "looker", "X-Auth-Token": TOKEN},
    "unknown id": {"X-User-Id": "x", "X-Auth-Token": TOKEN},
    "right pair, wrong bearer": {"Authorization": "Bearer x", "X-User-Id": USER, "X-Auth-Token": TOKEN},
    "two users at once": {**bearer("looker"), "X-User-Id": USER, "X-Auth-Token": TOKEN},
    "cookie": {"Cookie": f"token={TOKEN}; access_token={TOKEN}"},
}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """Start a daemon with a user for each set of permissions."""
    config = users(
        looker=["view-downloads"],
        reader=["read-files"],
        doer=["download"],
        importer=["run-import", "view-import-operations"],
        admin=["manage-users"],
        nothing=[],
    )
    async with DaemonProcess(tmp_path, config=config) as daemon:
        yield daemon


async def test_a_request_without_valid_credentials_is_refused(
    guarded: DaemonProcess, anonymous: aiohttp.ClientSession
) -> None:
    for method, path in ENDPOINTS:
        for who, fields in STRANGERS.items():
            async with anonymous.request(method, guarded.url + path, headers=fields) as response:
                assert response.status == 401, (method, path, who)
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert response.content_type == "application/json"
                if method != "HEAD":
                    assert await response.json() == UNAUTHORIZED
    assert await guarded.active() == []
    assert await guarded.history() == []


async def test_each_endpoint_requires_its_permission(guarded: DaemonProcess, anonymous: aiohttp.ClientSession) -> None:
    granted = {
        "looker": {"", "view-downloads"},
        "reader": {"", "read-files"},
        "doer": {"", "view-downloads", "download"},
        "importer": {"", "run-import", "view-import-operations"},
        "admin": {"", "manage-users"},
        "nothing": {""},
    }
    for (method, path), permission in ENDPOINTS.items():
        for user, permissions in granted.items():
            async with anonymous.request(method, guarded.url + path, headers=bearer(user)) as response:
                if permission in permissions:
                    assert response.status not in {401, 403}, (method, path, user)
                else:
                    assert response.status == 403, (method, path, user)
                    if method != "HEAD":
                        assert await response.json() == PERMISSION_MISSING
    # Only users with the permission have started downloads.
    for entry in await guarded.active():
        await guarded.control(entry["id"], "cancel")
    assert [entry["user"] for entry in await guarded.history()] == ["doer", "doer"]


async def test_a_token_in_the_query_is_never_accepted(daemon: DaemonProcess, anonymous: aiohttp.ClientSession) -> None:
    names = ("token", "access_token", "auth", "authToken", "X-Auth-Token", "Authorization", "bearer", "api_key")
    for method, path in ENDPOINTS:
        for name in names:
            mark = "&" if "?" in path else "?"
            url = f"{daemon.url}{path}{mark}{name}={TOKEN}&X-User-Id={USER}&userId={USER}"
            async with anonymous.request(method, url) as response:
                assert response.status == 401, (method, path, name)
    # It is not written to any file either.
    assert TOKEN not in daemon.log.read_text()


async def test_without_allow_download_every_operation_that_fetches_is_forbidden(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, flags=()) as daemon:
        body = {"downloads": [{"url": "http://127.0.0.1:1/f"}]}
        assert await daemon.request("GET", START) == (403, FORBIDDEN)
        assert await daemon.request("POST", "/api/v1/downloads", json=body) == (403, FORBIDDEN)
        assert await daemon.request("POST", "/api/v1/probe", json=body["downloads"][0]) == (403, FORBIDDEN)
        assert await daemon.request("POST", f"{ONE}/resume") == (403, FORBIDDEN)
        assert await daemon.request("POST", f"{ONE}/retry") == (403, FORBIDDEN)
        assert await daemon.history() == []


async def test_health_needs_no_token_and_reports_only_the_health(
    daemon: DaemonProcess, anonymous: aiohttp.ClientSession
) -> None:
    for fields in ({}, {"Authorization": "Bearer wrong"}):
        async with anonymous.get(f"{daemon.url}/api/v1/health", headers=fields) as response:
            assert response.status == 200
            body = await response.json()
            assert body.keys() == {"status", "version", "storage"}
            assert body["status"] == "ok"


# -- unknown paths and methods -----------------------------------------------------------------------------------------


ABSENT = (
    ("GET", "/api", 404, "NOT_FOUND"),
    ("GET", "/api/v1", 404, "NOT_FOUND"),
    ("GET", "/api/v1/nothing", 404, "NOT_FOUND"),
    ("GET", "/api/v2/downloads", 404, "NOT_FOUND"),
    ("GET", "/api/v1/downloads/", 404, "NOT_FOUND"),
    ("GET", "/api/v1/downloads/x/y", 404, "NOT_FOUND"),
    ("GET", "/api/v1/../../etc/passwd", 404, "NOT_FOUND"),
    # It has the form of a directory and is refused as one.
    ("GET", START.replace("/d?", "/api/d?"), 400, "INVALID_PATH"),
    ("GET", "/d", 404, "NOT_FOUND"),
    ("POST", "/d", 405, "METHOD_NOT_ALLOWED"),
    ("DELETE", "/d", 405, "METHOD_NOT_ALLOWED"),
    ("PUT", "/api/v1/downloads", 405, "METHOD_NOT_ALLOWED"),
    ("OPTIONS", "/api/v1/downloads", 405, "METHOD_NOT_ALLOWED"),
    ("POST", "/api/v1/health", 405, "METHOD_NOT_ALLOWED"),
    ("GET", f"{ONE}/pause", 405, "METHOD_NOT_ALLOWED"),
    ("PROPFIND", "/api/v1/downloads", 405, "METHOD_NOT_ALLOWED"),
    # An HTTP parser does not accept it as a method.
    ("BREW", "/api/v1/downloads", 400, "INVALID_PARAMETER"),
)


async def test_an_unknown_path_or_method_gets_a_json_error(daemon: DaemonProcess) -> None:
    assert daemon.client is not None
    for method, path, status, error in ABSENT:
        async with daemon.client.request(method, URL(daemon.url + path, encoded=True)) as response:
            body = await response.json()
            assert (response.status, body["success"], body["error"]) == (status, False, error), (method, path)
            assert len(body["detail"].split()) > 4
            if status == 405:
                assert method not in response.headers["Allow"].split(", ")


async def test_head_has_the_fields_of_get_and_no_body(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    _, answer = await daemon.fetch("d", origin.url("/f"))
    assert daemon.client is not None
    one = f"/api/v1/downloads/{answer['download_id']}"
    for path in ("/d?downloads=", "/?download_history=", "/api/v1/downloads", one, "/api/v1/openapi.json"):
        async with daemon.client.get(daemon.url + path) as got, daemon.client.head(daemon.url + path) as head:
            assert (head.status, await head.read()) == (200, b""), path
            assert head.headers["Content-Length"] == str(len(await got.read()))
            assert head.content_type == got.content_type
    for path in ("/api/v1/health", "/api/v1/metrics"):
        async with daemon.client.head(daemon.url + path) as head:
            assert (head.status, await head.read()) == (200, b"")


async def test_head_never_starts_a_download(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    assert daemon.client is not None
    for path in ("/d", "/", "/a/b"):
        async with daemon.client.head(daemon.url + path, params={"download": origin.url("/f")}) as response:
            assert response.status == 405
    assert (await daemon.active(), await daemon.history(), origin.connections) == ([], [], 0)


# -- bodies ------------------------------------------------------------------------------------------------------------


async def exchange(daemon: DaemonProcess, request: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes unchanged until the daemon stops reading; return status and JSON of the response."""
    host, _, port = daemon.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:

        async def send() -> None:
            try:
                for first in range(0, len(request), 65_536):
                    writer.write(request[first : first + 65_536])
                    await writer.drain()
            except ConnectionError:
                # The daemon stopped reading; its response can still be read.
                pass

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), CONDITION_TIMEOUT)
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            body = await asyncio.wait_for(reader.readexactly(int(length[1])), CONDITION_TIMEOUT)
            sending.cancel()
        return int(head.split()[1]), json.loads(body)
    finally:
        writer.close()


HEAD = (
    f"POST /api/v1/downloads HTTP/1.1\r\nHost: d\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
).encode()
LIMIT = 16 * 2**20


async def test_a_body_over_16_mib_is_refused_in_json_at_once(daemon: DaemonProcess) -> None:
    before = daemon.resident_bytes()
    announced = HEAD + f"Content-Length: {LIMIT + 1}\r\n\r\n".encode()
    piece = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 64 + b"0\r\n\r\n"
    for request in (announced, chunked):
        status, body = await exchange(daemon, request)
        assert (status, body["success"], body["error"]) == (413, False, "BODY_TOO_LARGE")
        assert str(LIMIT) in body["detail"]
    assert daemon.resident_bytes() < before + 60 * 2**20
    assert (await daemon.request("GET", "/api/v1/health"))[0] == 200


async def test_a_body_of_exactly_16_mib_is_read(daemon: DaemonProcess) -> None:
    batch = json.dumps({"downloads": [{"url": "ftp://x/"}]}).encode()
    request = HEAD + f"Content-Length: {LIMIT}\r\n\r\n".encode() + batch + b" " * (LIMIT - len(batch))
    status, body = await exchange(daemon, request)
    assert (status, body["downloads"][0]["error"]) == (400, "INVALID_URL")


# -- durability --------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
async def test_a_batch_of_10_000_answered_before_a_kill_is_stored_exactly_once(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/held", ScriptedResponse(head_event=asyncio.Event()))
    await restartable.start()
    items = [{"url": origin.url("/held"), "directory": f"d{n % 10}", "filename": f"{n}"} for n in range(10_000)]
    status, answer = await restartable.request(
        "POST", "/api/v1/downloads", data=json.dumps({"downloads": items}), headers=JSON
    )
    assert restartable.process is not None
    restartable.process.kill()
    assert (status, answer["success"], len(answer["downloads"])) == (201, True, 10_000)
    await restartable.kill()
    await restartable.start()
    listed = await restartable.active()
    assert [entry["id"] for entry in listed] == [one["download_id"] for one in answer["downloads"]]
    assert [entry["file_path"] for entry in listed] == [one["path"] for one in answer["downloads"]]
    assert [entry["filename"] for entry in listed] == [item["filename"] for item in items]
    assert await restartable.history() == []


JSON = {"Content-Type": "application/json"}


async def test_a_batch_killed_before_its_answer_is_stored_completely_or_not_at_all(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/held", ScriptedResponse(head_event=asyncio.Event()))
    batch = json.dumps({"downloads": [{"url": origin.url("/held")}] * 5000})
    answered = False
    for delay in (0.05, 0.1, 0.2, 30):
        await restartable.start()
        before = len(await restartable.active())
        asking = asyncio.create_task(restartable.request("POST", "/api/v1/downloads", data=batch, headers=JSON))
        await asyncio.wait((asking,), timeout=delay)
        assert restartable.process is not None
        restartable.process.kill()
        answered = not isinstance((await asyncio.gather(asking, return_exceptions=True))[0], BaseException)
        await restartable.kill()
        await restartable.start()
        after = await restartable.active()
        assert len({entry["id"] for entry in after}) == len(after)
        assert len(after) - before in ({5000} if answered else {0, 5000})
        await restartable.kill()
    assert answered, "the last one is waited for"


async def test_a_repeated_start_gets_the_first_response_and_starts_nothing(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    await restartable.start()
    key = {"Idempotency-Key": "k-1"}
    query = {"download": origin.url("/f")}
    first = await restartable.request("GET", "/d", params=query, headers=key)
    assert first[0] == 201
    await restartable.wait_until_finished(first[1]["download_id"])
    assert await restartable.request("GET", "/d", params=query, headers=key) == first
    at_once = await asyncio.gather(
        *(restartable.request("GET", "/d", params=query, headers={"Idempotency-Key": "k-2"}) for _ in range(20))
    )
    assert len({answer["download_id"] for _, answer in at_once}) == 1
    await restartable.wait_until_finished(at_once[0][1]["download_id"])
    refused = await restartable.request(
        "GET", "/d", params={"download": "ftp://x/"}, headers={"Idempotency-Key": "k-3"}
    )
    assert refused[0] == 400
    await restartable.kill()
    await restartable.start()
    assert await restartable.request("GET", "/d", params=query, headers=key) == first
    again = await restartable.request("GET", "/d", params={"download": "ftp://x/"}, headers={"Idempotency-Key": "k-3"})
    assert again == refused
    # `wait` is not a property of the download.
    status, waited = await restartable.request("GET", "/d", params={**query, "wait": "1"}, headers=key)
    assert (status, waited["download_id"]) == (201, first[1]["download_id"])
    # Another request with the same key is an error of the client.
    for path, other in (("/e", query), ("/d", {**query, "priority": "1"})):
        status, body = await restartable.request("GET", path, params=other, headers=key)
        assert (status, body["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(await restartable.history()) == 3
    assert len(origin.requests("/f")) == 2


async def test_a_repeated_batch_gets_the_first_response_and_starts_nothing(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    await restartable.start()
    key = {"Idempotency-Key": "k", **JSON}
    batch = json.dumps({"downloads": [*[{"url": origin.url("/f")}] * 100, {"url": "ftp://x/"}]})
    asking = [
        asyncio.create_task(restartable.request("POST", "/api/v1/downloads", data=batch, headers=key)) for _ in range(5)
    ]
    answers = await asyncio.gather(*asking)
    assert restartable.process is not None
    await restartable.kill()
    await restartable.start()
    answers.append(await restartable.request("POST", "/api/v1/downloads", data=batch, headers=key))
    status, first = answers[0]
    assert (status, first["success"], len(first["downloads"])) == (201, False, 101)
    assert all(answer == (201, first) for answer in answers)
    other = json.dumps({"downloads": [{"url": origin.url("/f")}]})
    status, body = await restartable.request("POST", "/api/v1/downloads", data=other, headers=key)
    assert (status, body["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")

    async def all_ended() -> bool:
        return len(await restartable.history()) == 101

    await wait_until(all_ended)
    assert {entry["id"] for entry in await restartable.history()} == {one["download_id"] for one in first["downloads"]}
    assert len(restartable.files()) == 100


async def test_idempotency_keys_of_different_users_are_independent(guarded: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    assert guarded.client is not None
    del guarded.client.headers["Authorization"]
    ids = set()
    for user in (f"Bearer {TOKEN}", "Bearer doer-token"):
        fields = {"Authorization": user, "Idempotency-Key": "k"}
        status, answer = await guarded.request("GET", "/d", params={"download": origin.url("/f")}, headers=fields)
        assert status == 201
        ids.add(answer["download_id"])
    assert len(ids) == 2


# -- secrets -----------------------------------------------------------------------------------------------------------

SECRET = "hush4711"
SECRETS = (
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "x%2Damz%2Dsignature",
    "X-Goog-Signature",
    "GoogleAccessId",
    "Signature",
    "sig",
    "token",
    "access_token",
    "pub_secret",
    "api_key",
    "password",
    "Policy",
    "hm",
    "verify",
)

TO_FILE = ("sh", "-c", 'exec "$@" >"$OUT"', "sh")
"""Launcher that writes the standard output of the daemon to a file."""


async def test_secrets_in_urls_are_sent_to_the_origin_and_masked_everywhere_else(
    tmp_path: Path, origin: Origin
) -> None:
    out = tmp_path / "stdout"
    release = asyncio.Event()
    query = "&".join(f"{name}={SECRET}" for name in SECRETS)
    host = f"user:{SECRET}@127.0.0.1:{origin.port}"
    origin.script("/f", ScriptedResponse(size=3))
    origin.script("/held", ScriptedResponse(size=3, body_event=release))
    origin.script("/missing", error_response(404))
    origin.script("/broken", ScriptedResponse(raw=b"nonsense"))
    origin.script("/moved", redirect(f"/f?{query}&moved=1"))
    origin.script("/astray", redirect(f"http://x:{SECRET}@10.0.0.1/?{query}"))
    origin.script("/malformed", redirect(f"http://x:{SECRET}@[bad/?{query}"))
    config = make_config(max_retries=0) + f'[[credentials]]\nhost = "localhost"\nuser = "u"\npassword = "{SECRET}"\n'
    responses: list[str] = []
    async with DaemonProcess(
        tmp_path, config=config, launcher=TO_FILE, environment={"OUT": str(out)}, flags=("--allow-download", *DEBUG)
    ) as daemon:
        assert daemon.client is not None

        async def record(method: str, path: str, **options: Any) -> None:
            assert daemon.client is not None
            async with daemon.client.request(method, daemon.url + path, **options) as response:
                responses.append(f"{response.headers} {await response.text()}")

        async with open_event_stream(daemon) as reader:
            for path in ("f", "missing", "broken", "moved", "astray", "malformed"):
                await record("GET", "/d", params={"download": f"http://{host}/{path}?{query}", "wait": "20"})
            await record("GET", "/d", params={"download": f"http://u:{SECRET}@10.0.0.1/f?{query}"})
            await record("GET", "/d", params={"download": f"ftp://u:{SECRET}@files.test/f?{query}"})
            await record("GET", "/d", params={"download": f"http://u:{SECRET}@[bad/f?{query}"})
            await record("GET", "/d", params={"download": f"http://{host}/f?{query}", "timeout": "x"})
            # A client that does not encode the URL, and one that sends its token in the query.
            await record("GET", f"/d?download=http://{host}/f?{query}")
            await record("GET", f"/api/v1/downloads?token={SECRET}&{SECRET}=1")
            await record("GET", f"/?download_history=&access_token={SECRET}")
            await record(
                "POST", "/api/v1/downloads", json={"downloads": [{"url": f"http://{host}/f?{query}"}, {"url": 7}]}
            )
            await record("POST", "/api/v1/downloads", json={"downloads": [{"url": f"http://{host}/f?{query}", "x": 1}]})
            # A URL inside a URL, and one in place of a name.
            inner = f"http://{host}/f?{query}"
            await record("GET", "/d", params={"download": f"http://[bad/f?url={quote(inner, safe='')}"})
            await record("GET", "/d", params={"download": f"http://127.0.0.1:{origin.port}/bot1:{SECRET}/f"})
            await record("GET", "/d", params={"download": "http://files.test/f", "filename": inner})
            for item in ({inner: 1}, {"filename": inner}, {"directory": inner}, {"conflict": inner}):
                await record("POST", "/api/v1/downloads", json={"downloads": [{"url": "http://files.test/", **item}]})
            await record("POST", "/api/v1/downloads", json={"downloads": [], inner: 1})
            for key in ("urls", inner):
                body = {"binaryContent": base64.b64encode(b"http://files.test/a").decode(), "contentType": "text/plain"}
                await record("POST", "/api/v1/uploadImportFile", json={**body, "fileName": inner, "importerKey": key})
            await record("GET", "/api/v1/getLatestImportOperations")
            await record("GET", "/d", params={"download": f"http://{host}/held?{query}", "filename": "held"})
            [held] = await wait_until(daemon.active)
            await record("PATCH", f"/api/v1/downloads/{held['id']}", json={"url": f"http://u:{SECRET}@x y/?{query}"})
            for verb in ("pause", "resume", "pause"):
                await record("POST", f"/api/v1/downloads/{held['id']}/{verb}")
            await record("PATCH", f"/api/v1/downloads/{held['id']}", json={"url": f"http://{host}/held?2&{query}"})
            await record("GET", "/api/v1/downloads")
            await record("GET", "/d?downloads=")
            await record("DELETE", f"/api/v1/downloads/{held['id']}")
            await record("GET", "/?download_history=")
            await record("GET", "/api/v1/metrics")
            await reader.wait_until(lambda: reader.entries("history", held["id"]))
        events = repr(reader.events)
        assert await daemon.stop() == 0
    everything = {
        "log": daemon.log.read_text(),
        "stdout": out.read_text(),
        "events": events,
        "answers": "\n".join(responses),
    }
    for where, text in everything.items():
        for line in text.splitlines():
            assert SECRET not in line, (where, line)
    assert "***" in everything["log"]
    assert "***" in everything["events"]
    assert "***" in everything["answers"]
    # The origin received the URLs unchanged, with their secrets.
    assert {request.target.decode() for request in origin.requests("/missing")} == {f"/missing?{query}"}
    assert f"/f?{query}&moved=1" in {request.target.decode() for request in origin.requests("/f")}
    assert origin.requests("/missing")[0].field("Authorization") == aiohttp.encode_basic_auth("user", SECRET)


DEBUG = ("--log-level", "debug")


async def test_the_access_log_has_user_action_and_duration(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3, delay=0.2))
    _, answer = await daemon.fetch("deep/er", f"{origin.url('/f')}?token={SECRET}")
    id = answer["download_id"]
    await daemon.get_download(id)
    await daemon.request("DELETE", f"/api/v1/downloads/{id}")
    await daemon.request("GET", "/api/v1/downloads", headers={"Authorization": "Bearer wrong"})
    await daemon.request("GET", "/api/v1/nothing")

    def lines() -> list[dict[str, Any]]:
        return [line for line in daemon.log_lines() if line["event"] == "request"]

    await wait_until(lambda: len(lines()) == 5)
    one = f"/api/v1/downloads/{id}"
    assert [
        (line["method"], line["path"], line["status"], line["user"], line.get("download_id")) for line in lines()
    ] == [
        ("GET", "/deep/er", 201, USER, id),
        ("GET", one, 200, USER, id),
        ("DELETE", one, 200, USER, id),
        ("GET", "/api/v1/downloads", 401, None, None),
        ("GET", "/api/v1/nothing", 404, None, None),
    ]
    assert lines()[0]["duration_ms"] >= 200
    assert all(0 < line["duration_ms"] < 30_000 for line in lines())
    assert len({line["request_id"] for line in lines()}) == 5
    assert SECRET not in daemon.log.read_text()


async def test_the_metrics_count_requests_and_downloads(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3_000))
    origin.script("/held", ScriptedResponse(size=10, stall_after=5))
    await daemon.fetch("d", origin.url("/f"))
    await daemon.request("GET", "/d", params={"download": "ftp://x/"})
    await daemon.wait_for_state((await daemon.start_download("d", origin.url("/held")))["download_id"], "downloading")
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
        text = await response.text()
        assert response.content_type == "text/plain"
    for line in (
        "downloadd_downloads_accepted_total 2.0",
        'downloadd_downloads_ended_total{error="",outcome="completed"} 1.0',
        'downloadd_downloads_ended_total{error="INVALID_URL",outcome="failed"} 1.0',
        'downloadd_downloads_active{state="downloading"} 1.0',
        'downloadd_http_requests_total{method="GET",status="400"} 1.0',
    ):
        assert line in text.splitlines(), text
