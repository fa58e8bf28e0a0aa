"""Hosts behind redirects: their slots, their outages and their `Retry-After`, with real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.ports import free_port
from support.waiting import wait_until

from downloadd.manager.origin_health import RAISE_SECONDS
from downloadd.manager.scheduler import RECHECK_SECONDS

SIZE = 300_000


def answer(request: Request) -> ScriptedResponse:
    return ScriptedResponse(size=SIZE, etag='"v"')


def break_off(request: Request) -> ScriptedResponse:
    """Close the connection without a response."""
    return ScriptedResponse(raw=b"")


def lead_to(target: Origin) -> Callable[[Request], ScriptedResponse]:
    """Return the redirects of an origin to the same paths of another one."""
    return lambda request: redirect(target.url(request.path))


@pytest.fixture
async def target() -> AsyncIterator[Origin]:
    async with Origin(fallback=answer) as target:
        yield target


@pytest.fixture
async def front(target: Origin) -> AsyncIterator[Origin]:
    """Start an origin that redirects each request to `target`."""
    async with Origin(fallback=lead_to(target)) as front:
        yield front


async def host(daemon: DaemonProcess, origin: Origin) -> dict[str, Any]:
    """Return what the API says about an origin; an empty dict if it is not listed."""
    status, listed = await daemon.request("GET", "/api/v1/hosts")
    assert status == 200
    return next((one for one in listed["hosts"] if one["origin"] == origin.url("")), {})


async def start(daemon: DaemonProcess, front: Origin, names: range | list[str], **parameters: Any) -> list[str]:
    return [(await daemon.start_download("d", front.url(f"/{name}"), **parameters))["download_id"] for name in names]


async def complete(daemon: DaemonProcess, ids: list[str]) -> None:
    for id in ids:
        assert (await daemon.wait_until_finished(id))["status"] == "completed"
    assert set(daemon.files().values()) == {expected_bytes(0, 0, SIZE)}


async def test_a_host_behind_a_redirect_that_accepts_two_connections_serves_all_downloads(
    tmp_path: Path, front: Origin, target: Origin
) -> None:
    connections: list[int] = []

    def answer_two(request: Request) -> ScriptedResponse:
        connections.append(sum(target.active(f"/{number}") for number in range(14)))
        return error_response(503) if connections[-1] > 2 else ScriptedResponse(size=SIZE, etag='"v"', rate=SIZE)

    target.set_fallback(answer_two)
    async with DaemonProcess(tmp_path, config=make_config(max_retries=1)) as daemon:
        ids = await start(daemon, front, range(14))

        async def has_learned() -> bool:
            one = await host(daemon, target)
            return one.get("state") == "slowed" and one["running"] <= one["slots"] == 2

        await wait_until(has_learned)
        before, watch = len(connections), asyncio.get_running_loop().time()
        await complete(daemon, ids)
        seconds = asyncio.get_running_loop().time() - watch
    # A third connection is tried when the slots have risen again, and is refused.
    assert sum(count > 2 for count in connections[before:]) <= 1 + seconds / RAISE_SECONDS
    assert max(connections[before:]) <= 3
    # Each asks once where it is led to, and then waits for a slot there.
    assert sum(len(front.requests(f"/{number}")) for number in range(14)) <= (
        len(connections) + 14 + seconds / RECHECK_SECONDS
    )


async def test_an_outage_behind_a_redirect_holds_the_downloads_and_only_probes_are_sent(tmp_path: Path) -> None:
    async with (
        Origin() as front,
        DaemonProcess(tmp_path, config=make_config(max_retries=1, timeout=0)) as daemon,
    ):
        port = free_port()
        async with Origin(port=port, fallback=answer) as target:
            front.set_fallback(lead_to(target))
            await complete(daemon, await start(daemon, front, ["first"]))
        async with Origin(port=port, fallback=break_off) as target:
            ids = await start(daemon, front, range(20))

            def requested(origin: Origin) -> int:
                return sum(len(origin.requests(f"/{number}")) for number in range(20))

            async def failures() -> int:
                return int((await host(daemon, target)).get("failures", 0))

            async def has_opened() -> bool:
                return await failures() >= 2 and (await host(daemon, target))["running"] <= 1

            async def has_been_probed() -> bool:
                return await failures() >= 5

            async def all_but_the_probe_wait() -> list[dict[str, Any]]:
                waiting = [one for one in await daemon.active() if one["status"] in {"queued", "retrying"}]
                return waiting if len(waiting) >= 19 else []

            await wait_until(has_opened)
            # A probe may be under way, and a request that got no response at all is repeated once.
            failed, sent = await failures(), requested(target)
            await wait_until(has_been_probed)
            assert requested(target) - sent <= 2 * (await failures() - failed + 1)
            active = await daemon.active()
            assert {one["id"] for one in active} == set(ids)
            reason = f"127.0.0.1:{front.port} redirects to 127.0.0.1:{port}: 127.0.0.1:{port} could not be reached; "
            waiting = await wait_until(all_but_the_probe_wait)
            assert [one["reason"] for one in waiting if not one["reason"].startswith(reason)] == []
            assert (await host(daemon, front)).get("state") in {None, "healthy"}
            # Each download asks where it is led to once, and as a probe.
            assert requested(front) <= 20 + requested(target) + 5
        async with Origin(port=port, fallback=answer):
            await complete(daemon, ids)


async def test_downloads_of_a_host_behind_a_redirect_that_never_answers_end_by_their_timeout(tmp_path: Path) -> None:
    async with Origin(fallback=answer) as target:
        pass
    async with Origin(fallback=lead_to(target)) as front, DaemonProcess(tmp_path) as daemon:
        for id in await start(daemon, front, range(3), timeout=1):
            entry = await daemon.wait_until_finished(id)
            assert (entry["status"], entry["error"]) == ("failed", "NETWORK_ERROR")


async def test_an_origin_that_redirects_to_several_hosts_holds_no_download_for_the_wrong_one(
    tmp_path: Path, target: Origin
) -> None:
    async with Origin(fallback=answer) as other:
        pass
    is_moved = False

    def lead(request: Request) -> ScriptedResponse:
        is_other = request.path.startswith("/other") and not is_moved
        return redirect((other if is_other else target).url(request.path))

    async with (
        Origin(fallback=lead) as front,
        DaemonProcess(tmp_path, config=make_config(max_retries=1, timeout=0)) as daemon,
    ):
        held = await start(daemon, front, [f"other{number}" for number in range(20)])

        async def is_open() -> bool:
            return int((await host(daemon, other)).get("failures", 0)) >= 3

        await wait_until(is_open)
        await complete(daemon, await start(daemon, front, range(20)))
        waiting = [one for one in await daemon.active() if one["status"] in {"queued", "retrying"}]
        assert len(waiting) >= 19
        assert all(f"redirects to 127.0.0.1:{other.port}: " in one["reason"] for one in waiting)
        is_moved = True
        # The next probe is led elsewhere, and then the others are.
        await complete(daemon, held)


async def test_retry_after_of_a_host_behind_a_redirect_holds_also_after_a_kill(
    tmp_path: Path, front: Origin, target: Origin
) -> None:
    target.set_fallback(lambda request: error_response(429, retry_after="3600"))
    async with DaemonProcess(tmp_path, config=make_config(timeout=0)) as daemon:
        [busy] = await start(daemon, front, ["busy"])
        await daemon.wait_for_state(busy, "retrying")
        await daemon.kill()
        await daemon.start()
        [id] = await start(daemon, front, ["f"])

        async def waits() -> bool:
            entry = await daemon.get_download(id)
            reason = f"127.0.0.1:{front.port} redirects to 127.0.0.1:{target.port}: 127.0.0.1:{target.port} asked to"
            return (entry["status"], entry["attempt"]) == ("queued", 0) and str(entry["reason"]).startswith(reason)

        await wait_until(waits)
        assert (len(front.requests("/f")), target.requests("/f")) == (1, [])
        # Its own downloads are not held.
        front.script("/direct", ScriptedResponse(size=SIZE))
        await complete(daemon, await start(daemon, front, ["direct"]))


async def test_further_connections_behind_a_redirect_stay_within_the_slots(
    tmp_path: Path, front: Origin, target: Origin
) -> None:
    size = 16 << 20
    target.script("/f", ScriptedResponse(size=size, etag='"v"', rate=8 << 20))
    target.script("/g", ScriptedResponse(size=size, etag='"v"', rate=8 << 20))
    async with DaemonProcess(tmp_path, config=make_config(max_per_host=3)) as daemon:
        ids = [
            (await daemon.start_download("d", [front.url("/f"), target.url("/f")], segments=8))["download_id"],
            (await daemon.start_download("d", front.url("/g"), segments=8))["download_id"],
        ]
        for id in ids:
            assert (await daemon.wait_until_finished(id))["status"] == "completed"
        assert target.max_active("/f") + target.max_active("/g") <= 2 * 3
        assert max(target.max_active("/f"), target.max_active("/g")) > 1
        assert set(daemon.files().values()) == {expected_bytes(0, 0, size)}
