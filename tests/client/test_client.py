"""Calls of the Python client, with a daemon."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
import trustme
from end_to_end.test_imports import export, serve
from end_to_end.test_specification import ENDED, LISTED, assert_shaped
from msgspec.structs import replace
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess
from support.import_files import packed
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.client import (
    ActiveEntry,
    ActiveEntryResponse,
    ApiError,
    BatchItem,
    Client,
    Connected,
    ConnectionLostError,
    Disconnected,
    Event,
    FileDataResponse,
    HistoryEntry,
    HistoryEntryResponse,
    InvalidResponseError,
    StartResponse,
    State,
    WaitingResponse,
)
from downloadd.errors import ERRORS

pytestmark = pytest.mark.system

UNKNOWN = "01a20a2c-1331-706e-8ff2-4677a3499851"


async def refusal(call: Awaitable[object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value


# -- downloads ---------------------------------------------------------------------------------------------------------


async def test_the_calls_of_the_specification_return_its_answers(client: Client, origin: Origin) -> None:
    origin.script("/data.csv", ScriptedResponse(size=1_000_000, rate=1000))
    origin.script("/missing.csv", error_response(404))
    result = await client.files.downloads.fetch(
        directory="Downloads", download=origin.url("/data.csv"), filename="renamed-data.csv", timeout=600
    )
    assert msgspec.structs.asdict(result) | {"download_id": "", "detail": None, "warning": None} == {
        "download_id": "",
        "filename": "renamed-data.csv",
        "path": "Downloads/renamed-data.csv",
        "success": True,
        "message": "Download started",
        "error": None,
        "detail": None,
        "warning": None,
    }
    await client.files.downloads.fetch(directory="other", download=origin.url("/data.csv"))
    active = await client.files.downloads.list_active(directory="Downloads", downloads="")
    assert [entry.id for entry in active.downloads] == [result.download_id]
    assert len((await client.files.downloads.list_global()).downloads) == 2
    assert_shaped(msgspec.to_builtins(active.downloads[0]), LISTED)
    error = await refusal(client.files.downloads.fetch(download=origin.url("/missing.csv"), wait=20))
    assert (error.code, error.status) == ("REMOTE_FILE_NOT_FOUND", 404)
    assert msgspec.json.decode(error.body, type=StartResponse).path == "missing.csv"
    history = await client.files.downloads.get_history()
    assert_shaped(msgspec.to_builtins(history.history[0]), ENDED)


async def test_names_reach_the_daemon_as_they_are(client: Client, daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/small", ScriptedResponse(size=1000))
    url = origin.url("/small?x=1&y=2")
    odd = await client.files.downloads.fetch(directory="a b/ü/c%2Fd+&?#", download=url, filename="n ü+%41", wait=20)
    assert odd.path == "a b/ü/c%2Fd+&?#/n ü+%41"
    assert list(daemon.files()) == [odd.path]
    for directory in ("..", ".", "a/../b"):
        error = await refusal(client.files.downloads.fetch(directory=directory, download=url))
        assert error.code == "INVALID_PATH"


async def test_a_repeated_start_returns_the_first_result(client: Client, origin: Origin) -> None:
    origin.script("/small", ScriptedResponse(size=1000))
    one, other = [
        await client.files.downloads.fetch(directory="d", download=origin.url("/small"), idempotency_key="once")
        for _ in range(2)
    ]
    assert one.download_id == other.download_id


async def test_a_download_is_paused_changed_and_waited_for(client: Client, origin: Origin) -> None:
    downloads = client.files.downloads
    release = asyncio.Event()
    origin.script("/slow", ScriptedResponse(size=3000, body_event=release))
    origin.script("/gone", error_response(404))
    id = (await downloads.fetch(download=origin.url("/slow"), segments=1, priority=1)).download_id
    assert (await downloads.pause(id)).status is State.PAUSED
    changed = await downloads.change(id, priority=3, speed_limit=5_000_000)
    assert isinstance(changed, ActiveEntryResponse)
    assert (changed.priority, changed.speed_limit) == (3, 5_000_000)
    assert isinstance(await downloads.get(id), ActiveEntry)
    assert (await downloads.resume(id)).success
    release.set()
    assert (await downloads.wait(id)).status is State.COMPLETED
    assert (await downloads.wait(id)).id == id, "it ended before the call"
    assert isinstance(await downloads.get(id), HistoryEntry)
    assert (await refusal(downloads.pause(id))).code == "INVALID_STATE"
    assert (await refusal(downloads.wait(UNKNOWN))).code == "NOT_FOUND"
    failed = (await downloads.fetch(download=origin.url("/gone"))).download_id
    assert (await downloads.wait(failed)).error == "REMOTE_FILE_NOT_FOUND"
    assert (await downloads.retry(failed)).attempt == 0
    assert (await downloads.wait(failed)).status is State.FAILED
    assert isinstance(await downloads.change(failed, url=origin.url("/other")), HistoryEntryResponse)
    origin.script("/present", ScriptedResponse(size=1000))
    assert (await downloads.retry(failed, url=origin.url("/present"))).url == origin.url("/present")
    assert (await downloads.wait(failed)).status is State.COMPLETED
    endless = (await downloads.fetch(download=origin.url("/slow"), speed_limit=10)).download_id
    assert (await downloads.cancel(endless)).status is State.CANCELLED


async def test_downloads_are_moved_paused_and_resumed_together(client: Client, origin: Origin) -> None:
    downloads = client.files.downloads
    origin.script("/slow", ScriptedResponse(size=3000, stall_after=10))
    ids = [(await downloads.fetch(download=origin.url("/slow"), directory=f"d{n}")).download_id for n in range(3)]
    assert (await downloads.pause_all()).changed == 3
    assert (await downloads.pause_all()).changed == 0
    assert (await downloads.move(ids[2], "top")).position == 0
    moved = await downloads.move(ids[0], 2)
    assert (moved.position, moved.status) == (2, State.PAUSED)
    placed = await downloads.batch([BatchItem(url=origin.url("/slow"), directory="d3", position=0)])
    assert placed.success
    listed = {entry.id: entry.place for entry in (await downloads.list_global()).downloads}
    assert sorted(listed, key=lambda id: listed[id])[1:] == [ids[2], ids[1], ids[0]]
    assert (await downloads.resume_all()).changed == 3
    with pytest.raises(ValueError, match="MoveTo"):
        await downloads.move(ids[0], "first")
    assert (await refusal(downloads.move(UNKNOWN, "top"))).code == "NOT_FOUND"
    for id in listed:
        await downloads.cancel(id)


async def test_a_batch_has_one_result_for_each(client: Client, origin: Origin) -> None:
    origin.script("/small", ScriptedResponse(size=1000))
    mixed = await client.files.downloads.batch([BatchItem(url=origin.url("/small")), BatchItem(url="nonsense")])
    assert [each.success for each in mixed.downloads] == [True, False]
    refused = await client.files.downloads.batch([BatchItem(url="nonsense")])
    assert [each.error for each in refused.downloads] == ["INVALID_URL"]
    assert (await refusal(client.files.downloads.batch([]))).code == "INVALID_PARAMETER"


async def test_the_history_is_read_page_by_page(client: Client, origin: Origin) -> None:
    origin.script("/small", ScriptedResponse(size=10))
    for number in range(3):
        await client.files.downloads.fetch(directory=f"d{number}", download=origin.url("/small"), wait=20)
    seen: list[str] = []
    cursor = None
    while True:
        page = await client.files.downloads.get_history(limit=1, cursor=cursor, q="small", status="completed")
        seen += [entry.directory for entry in page.history]
        if page.next is None:
            break
        cursor = page.next
    assert seen == ["d2", "d1", "d0"]
    assert await client.directories("d") == ["d0", "d1", "d2"]


async def test_the_daemon_describes_itself(client: Client) -> None:
    assert (await client.health()).status == "ok"
    assert {entry.code for entry in await client.errors()} == set(ERRORS)
    assert (await client.openapi())["openapi"].startswith("3.1")
    assert "downloadd_downloads_active" in await client.metrics()


async def test_limits_are_read_and_changed(client: Client) -> None:
    before = await client.settings()
    changed = await client.change_settings(max_concurrent=3, speed_limit=1000)
    assert (changed.max_concurrent, changed.max_per_host, changed.speed_limit) == (3, before.max_per_host, 1000)
    assert await client.settings() == replace(before, max_concurrent=3, speed_limit=1000)
    assert (await refusal(client.change_settings(max_per_host=0))).code == "INVALID_PARAMETER"
    async with aclosing(client.events()) as events:
        assert isinstance((await anext(events)).data, Connected)
        await client.change_settings(speed_limit=0)
        event = await anext(events)
    assert event.data == replace(before, max_concurrent=3)


async def test_hosts_in_use_are_listed(client: Client, origin: Origin) -> None:
    origin.script("/slow", ScriptedResponse(size=1000, stall_after=10))
    await client.files.downloads.fetch(directory="d", download=origin.url("/slow"))
    listed = await client.hosts(limit=1)
    assert ([(one.origin, one.state) for one in listed.hosts], listed.total) == ([(origin.url(""), "healthy")], 1)


async def test_a_daemon_lists_itself_as_the_only_node(client: Client, daemon: DaemonProcess) -> None:
    [node] = (await client.nodes()).nodes
    assert (node.url, node.state, node.running, node.differs) == (daemon.url, "up", 0, [])


# -- imports -----------------------------------------------------------------------------------------------------------


async def test_an_export_is_imported(client: Client, daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    content = packed({**export(origin, ["F1", "F2"]), "readme.txt": b"x", "notes.txt": b"x"})

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100):
            yield content[start : start + 100]

    operation = await client.imports.upload(importer_key="slack", file_name="export.zip", file=pieces())
    while isinstance(data := await client.imports.data(), WaitingResponse):
        await asyncio.sleep(0.02)
    assert isinstance(data, FileDataResponse)
    assert {channel.name for channel in data.channels} == {"general", "empty"}
    await client.imports.start(users={"list": []}, channels={"all": True})
    assert await client.imports.download_files() == 2
    assert await client.imports.download_avatars() == 0
    assert await client.imports.download_files(operation=operation.id, retry=True) == 0
    first = await client.imports.skipped(operation.id, limit=1)
    second = await client.imports.skipped(operation.id, cursor=first.next)
    assert [item.entry for item in (*first.skipped, *second.skipped)] == ["readme.txt", "notes.txt"]
    assert second.next is None
    await wait_until(lambda: sum(path.startswith("Imports/") and path.endswith(".gif") for path in daemon.files()) == 2)
    assert (await client.imports.progress()).success
    assert await client.imports.current() is not None
    assert len(await client.imports.latest()) >= 1
    assert (await refusal(client.imports.cancel("nonsense"))).code == "NOT_FOUND"
    error = await refusal(client.imports.fetch(importer_key="nonsense", file_url=origin.url("/x")))
    assert error.status == 400
    assert operation.importer_key == "slack"


# -- events ------------------------------------------------------------------------------------------------------------


async def test_the_event_stream_survives_a_kill_without_a_gap(restartable: DaemonProcess, origin: Origin) -> None:
    origin.script("/slow", ScriptedResponse(size=300_000, rate=100_000, etag='"1"'))
    await restartable.start()
    async with Client(restartable.url, token=TOKEN) as client:
        id = (await client.files.downloads.fetch(download=origin.url("/slow"))).download_id
        waiting = asyncio.create_task(client.files.downloads.wait(id))
        received: list[Event] = []
        kills = 0
        async with aclosing(client.events()) as events:
            async for event in events:
                received.append(event)
                match event.data:
                    case ActiveEntry(current_size=size) if size and restartable.process is not None and kills < 2:
                        kills += 1
                        await restartable.kill()
                    case Disconnected() if restartable.process is None:
                        await restartable.start()
                    case HistoryEntry():
                        break
                    case _:
                        pass
        assert isinstance(received[0].data, Connected)
        assert any(isinstance(event.data, Disconnected) for event in received)
        assert received[-1].data.id == id  # type: ignore[union-attr]
        assert (await asyncio.wait_for(waiting, CONDITION_TIMEOUT)).status is State.COMPLETED


async def test_a_wrong_token_ends_the_stream(daemon: DaemonProcess) -> None:
    async with Client(daemon.url, token="wrong" * 10) as client, aclosing(client.events()) as events:
        assert (await refusal(anext(events))).code == "unauthorized"


# -- addresses and errors ----------------------------------------------------------------------------------------------


async def test_refused_and_unanswered_calls_raise_different_errors(daemon: DaemonProcess, origin: Origin) -> None:
    async with Client(daemon.url) as anonymous:
        assert (await anonymous.health()).status == "ok"
        error = await refusal(anonymous.files.downloads.list_global())
        assert (error.code, error.status) == ("unauthorized", 401)
    async with Client("http://127.0.0.1:9/", token=TOKEN) as unreachable:
        with pytest.raises(ConnectionLostError, match=r"http://127.0.0.1:9/ cannot be reached: Connection refused"):
            await unreachable.health()
    origin.script("/api/v1/health", ScriptedResponse(body=b"<html>no daemon</html>"))
    origin.script("/api/v1/errors", error_response(502))
    async with Client(origin.url("/"), token=TOKEN) as other:
        with pytest.raises(InvalidResponseError, match="another program"):
            await other.health()
        assert (await refusal(other.errors())).code == "HTTP_502"
    with pytest.raises(ValueError, match="must begin with http://, https:// or unix:"):
        Client("ftp://x.example")
    with pytest.raises(RuntimeError, match="async with"):
        await Client(daemon.url).health()


async def test_a_daemon_that_sends_nothing_counts_as_lost(origin: Origin) -> None:
    origin.script("/api/v1/health", ScriptedResponse(body=b"{}", delay=20))
    async with Client(origin.url("/"), read_timeout=0.2) as client:
        with pytest.raises(ConnectionLostError, match="did not answer in time"):
            await client.health()


async def test_the_client_connects_below_a_prefix_by_a_unix_socket_and_by_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    server = f'[server]\nbase_path = "/fetch"\nunix_socket = "{tmp_path}/api.sock"\n'
    server += f'tls_cert = "{tmp_path}/cert.pem"\ntls_key = "{tmp_path}/key.pem"\n'
    async with DaemonProcess(tmp_path, config=f"{DEFAULT_CONFIG}{server}") as daemon:
        async with Client(f"{daemon.url}/fetch", token=TOKEN, ca_file=tmp_path / "ca.pem") as client:
            assert (await client.files.downloads.list_global()).downloads == []
        async with Client(f"{daemon.url}/fetch", token=TOKEN) as untrusting:
            with pytest.raises(ConnectionLostError, match="certificate is not trusted"):
                await untrusting.health()
