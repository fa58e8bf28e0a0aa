"""Limits on concurrency, speed, time and size, measured at the origin."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import pytest
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin, Request
from support.origin.scripted_response import Cut, Framing, ScriptedResponse, error_response, redirect
from support.waiting import wait_until

Limited = Callable[..., Awaitable[DaemonProcess]]


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Limited]:
    """Return a function that starts the daemon with these keys of `[downloads]`."""
    started: list[DaemonProcess] = []

    async def start(**downloads: Any) -> DaemonProcess:
        daemon = DaemonProcess(tmp_path, config=make_config(**downloads))
        started.append(daemon)
        await daemon.start()
        return daemon

    yield start
    for daemon in started:
        if daemon.process is not None:
            await daemon.kill()
        assert "Traceback" not in daemon.log.read_text()


@pytest.fixture
async def other_origin() -> AsyncIterator[Origin]:
    """Start an origin on another host."""
    async with Origin(host="127.0.0.2") as origin:
        yield origin


def now() -> float:
    return asyncio.get_running_loop().time()


def query_order(origin: Origin, path: str) -> str:
    """Return the queries of the requests to `path` in order, one letter each."""
    return "".join(request.target.partition(b"?")[2].decode() for request in origin.requests(path))


async def none_active(daemon: DaemonProcess) -> bool:
    return await daemon.active() == []


async def statuses(daemon: DaemonProcess) -> list[str]:
    return [entry["status"] for entry in await daemon.active()]


# -- concurrency -------------------------------------------------------------------------------------------------------


class ConcurrencyCounter:
    """Counter of the most requests that two origins answer at once."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self.max_active = 0

    def answer(self, request: Request) -> ScriptedResponse:
        self.max_active = max(self.max_active, sum(origin.active("/f") for origin in self.origins))
        return ScriptedResponse(size=100, delay=0.2)

    @asynccontextmanager
    async def two_hosts(self) -> AsyncIterator[list[Origin]]:
        async with (
            Origin(fallback=self.answer) as one,
            Origin(host="127.0.0.2", fallback=self.answer) as two,
        ):
            self.origins = [one, two]
            yield self.origins


async def test_downloads_in_total_and_for_each_host_stay_within_the_limits(limited: Limited) -> None:
    daemon = await limited(max_concurrent=4, max_per_host=3)
    counter = ConcurrencyCounter()
    async with counter.two_hosts() as origins:
        urls = [origin.url(f"/f?{number}") for number in range(10) for origin in origins]
        await asyncio.gather(*(daemon.start_download("d", url) for url in urls))

        async def limits_are_named() -> bool:
            reasons = {entry["reason"] for entry in await daemon.active() if entry["status"] == "queued"}
            return any("max_concurrent" in reason or "max_per_host" in reason for reason in reasons)

        await wait_until(limits_are_named)
        await wait_until(lambda: none_active(daemon))
        assert counter.max_active == 4
        assert [origin.max_active("/f") <= 3 for origin in origins] == [True, True]
    assert len(daemon.files()) == 20


async def test_one_host_can_use_all_its_slots(limited: Limited, origin: Origin) -> None:
    daemon = await limited(max_concurrent=10, max_per_host=3)
    origin.script("/f", ScriptedResponse(size=100, delay=0.2))
    await asyncio.gather(*(daemon.start_download("d", origin.url("/f")) for _ in range(10)))
    await wait_until(lambda: none_active(daemon))
    assert origin.max_active("/f") == 3


async def test_changes_during_starts_never_shift_the_limits(limited: Limited, origin: Origin) -> None:
    """Detect slots that are counted twice or never released."""
    daemon = await limited(max_concurrent=3, max_per_host=2)
    origin.script("/f", ScriptedResponse(size=10, delay=0.005))

    async def disturb(id: str) -> None:
        for priority in range(1000):
            status, _ = await daemon.amend(id, priority=priority % 7)
            if status != 200:
                return

    async def start_and_disturb() -> None:
        for _ in range(5):
            await disturb((await daemon.start_download("d", origin.url("/f")))["download_id"])

    await asyncio.gather(*(start_and_disturb() for _ in range(12)))
    await wait_until(lambda: none_active(daemon))
    assert origin.max_active("/f") <= 2
    assert {entry["status"] for entry in await daemon.history()} == {"completed"}
    release = asyncio.Event()
    origin.script("/both", ScriptedResponse(size=1, head_event=release))
    for _ in range(3):
        await daemon.start_download("d", origin.url("/both"))
    await wait_until(lambda: origin.active("/both") == 2)
    assert await statuses(daemon) == ["starting", "starting", "queued"]
    release.set()


async def test_a_slow_host_does_not_delay_others(limited: Limited, origin: Origin, other_origin: Origin) -> None:
    daemon = await limited(max_concurrent=3, max_per_host=2)
    origin.script("/slow", ScriptedResponse(size=1000, stall_after=1))
    other_origin.script("/quick", ScriptedResponse(size=1000))
    for _ in range(6):
        await daemon.start_download("slow", origin.url("/slow"), priority="1000")
    await origin.wait_requested("/slow", times=2)
    for _ in range(5):
        status, answer = await daemon.fetch("quick", other_origin.url("/quick"), priority="-1000")
        assert (status, answer["message"]) == (201, "Download completed")
    assert len(origin.requests("/slow")) == 2
    waiting = [entry["reason"] for entry in await daemon.active() if entry["status"] == "queued"]
    assert waiting == [f"2 downloads from 127.0.0.1:{origin.port} are running (max_per_host)"] * 4


async def test_higher_priorities_start_first_and_a_change_reorders_the_queue(limited: Limited, origin: Origin) -> None:
    daemon = await limited(max_concurrent=1)
    release = asyncio.Event()
    origin.script("/f", [ScriptedResponse(size=1, head_event=release), ScriptedResponse(size=1)])
    await daemon.start_download("d", origin.url("/f?x"))
    await origin.wait_requested("/f")
    ids = {}
    for letter, priority in {"a": 0, "b": 5, "c": -5, "d": 5, "e": 0, "f": 0}.items():
        answer = await daemon.start_download("d", origin.url(f"/f?{letter}"), priority=str(priority))
        ids[letter] = answer["download_id"]
    status, entry = await daemon.amend(ids["c"], priority=9)
    assert (status, entry["status"], entry["success"]) == (200, "queued", True)
    assert (await daemon.amend(ids["a"], priority=-9))[0] == 200
    release.set()
    await wait_until(lambda: none_active(daemon))
    assert query_order(origin, "/f") == "xcbdefa"


async def test_a_request_beyond_the_queue_limit_is_refused_and_never_starts(limited: Limited, origin: Origin) -> None:
    daemon = await limited(max_concurrent=1, max_queued=2)
    release = asyncio.Event()
    origin.script("/f", [ScriptedResponse(size=1, head_event=release), ScriptedResponse(size=1)])
    await daemon.start_download("d", origin.url("/f?a"))
    await origin.wait_requested("/f")
    for letter in "bc":
        await daemon.start_download("d", origin.url(f"/f?{letter}"))
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/d", params={"download": origin.url("/f?x")}) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) > 0
        refused = await response.json()
    assert (refused["success"], refused["error"]) == (False, "QUEUE_FULL")
    assert "max_queued" in refused["detail"]
    [entry] = await daemon.history()
    assert (entry["id"], entry["status"], entry["error"]) == (refused["download_id"], "failed", "QUEUE_FULL")
    # A retry does not bypass the limit either.
    status, again = await daemon.control(refused["download_id"], "retry")
    assert (status, again["error"]) == (429, "QUEUE_FULL")
    assert (await daemon.get_download(refused["download_id"]))["status"] == "failed"
    release.set()
    await wait_until(lambda: none_active(daemon))
    assert query_order(origin, "/f") == "abc"
    # Slots of the queue are free again: a batch is accepted in order until they are used.
    release.clear()
    origin.script("/f", [ScriptedResponse(size=1, head_event=release), ScriptedResponse(size=1)])
    await daemon.start_download("d", origin.url("/f?d"))
    await origin.wait_requested("/f", times=4)
    items = [{"url": origin.url(f"/f?{letter}"), "directory": "d"} for letter in "efyz"]
    status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    assert status == 201
    assert [one["error"] for one in body["downloads"]] == [None, None, "QUEUE_FULL", "QUEUE_FULL"]
    release.set()
    await wait_until(lambda: none_active(daemon))
    assert query_order(origin, "/f") == "abcdef"


# -- speed -------------------------------------------------------------------------------------------------------------


async def test_a_speed_limit_holds_for_its_download_alone(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=300_000))
    watch = daemon.stopwatch()
    limited = asyncio.create_task(daemon.fetch("d", origin.url("/f"), speed_limit="100000"))
    assert (await daemon.fetch("d", origin.url("/f"), filename="unlimited"))[0] == 201
    assert not limited.done()
    assert (await limited)[0] == 201
    assert watch.elapsed >= 2
    assert watch.seconds < 15
    assert set(daemon.files().values()) == {expected_bytes(0, 0, 300_000)}


async def test_the_shared_speed_limit_holds_for_all_downloads_together(limited: Limited, origin: Origin) -> None:
    daemon = await limited(speed_limit=100_000)
    origin.script("/f", ScriptedResponse(size=75_000))
    watch = daemon.stopwatch()
    results = await asyncio.gather(*(daemon.fetch("d", origin.url("/f")) for _ in range(4)))
    assert watch.elapsed >= 2
    assert watch.seconds < 15
    assert {status for status, _ in results} == {201}
    await daemon.reload(DEFAULT_CONFIG)
    origin.script("/f", ScriptedResponse(size=5_000_000))
    assert (await daemon.fetch("d", origin.url("/f")))[1]["message"] == "Download completed"


async def test_over_ten_seconds_limits_hold_within_five_percent_and_are_shared_fairly(
    limited: Limited, origin: Origin
) -> None:
    """Run one download with its own limit and three without, one of them over several connections."""
    shared, own, seconds = 6_000_000, 600_000, 10
    fair = (shared - own) / 3
    daemon = await limited(speed_limit=shared, max_per_host=8)
    origin.script("/f", ScriptedResponse(size=1_000_000_000, etag='"a"'))
    slow = (await daemon.start_download("d", origin.url("/f"), speed_limit=own))["download_id"]
    rest = [
        (await daemon.start_download("d", origin.url("/f"), segments=segments))["download_id"] for segments in (1, 1, 4)
    ]

    async def sizes() -> tuple[float, list[int]]:
        return now(), [(await daemon.get_download(id))["current_size"] for id in (slow, *rest)]

    async def measured_rates() -> list[float]:
        began, before = await sizes()
        await asyncio.sleep(seconds)
        ended, after = await sizes()
        return [(b - a) / (ended - began) for a, b in zip(before, after, strict=True)]

    def are_right(rates: list[float]) -> bool:
        return (
            sum(rates) == pytest.approx(shared, rel=0.05)
            and rates[0] == pytest.approx(own, rel=0.05)
            and rates[1:] == pytest.approx([fair] * 3, rel=0.25)
        )

    await asyncio.sleep(2)
    # A wrong limiter is wrong in each period; a period in which the daemon had no CPU proves nothing.
    measured: list[list[float]] = []
    while len(measured) < 3 and not (measured and are_right(measured[-1])):
        measured.append(await measured_rates())
    assert are_right(measured[-1]), measured


async def test_a_slow_download_speeds_up_when_its_limit_is_removed(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=300_000))
    # At this limit the first kilobyte takes a hundred seconds.
    id = (await daemon.start_download("d", origin.url("/f"), speed_limit="10"))["download_id"]

    async def is_slow() -> bool:
        return bool((await daemon.get_download(id))["current_size"])

    await wait_until(is_slow)
    status, entry = await daemon.amend(id, speed_limit=0)
    assert (status, entry["status"]) == (200, "downloading")
    assert (await daemon.wait_until_finished(id))["status"] == "completed"
    assert daemon.files() == {"d/f": expected_bytes(0, 0, 300_000)}


async def test_a_running_download_slows_down_to_a_new_limit(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=50_000_000, rate=2_000_000))
    id = (await daemon.start_download("d", origin.url("/f")))["download_id"]

    async def size() -> int:
        return int((await daemon.get_download(id))["current_size"])

    async def runs() -> bool:
        return await size() > 100_000

    await wait_until(runs)
    assert (await daemon.amend(id, speed_limit=50_000))[0] == 200
    before, began = await size(), now()
    await asyncio.sleep(1.5)
    # Bytes that were being read when the limit was set come on top of it.
    assert await size() - before < 50_000 * (now() - began) + 600_000


async def test_waiting_for_a_speed_limit_is_not_a_stall(limited: Limited, origin: Origin) -> None:
    daemon = await limited(stall_timeout=1, max_retries=0)
    origin.script("/f", ScriptedResponse(size=600_000))
    status, answer = await daemon.fetch("d", origin.url("/f"), speed_limit="200000")
    assert (status, answer["message"]) == (201, "Download completed"), answer
    # A real stall on the same connection is still detected.
    origin.script("/stalled", ScriptedResponse(size=1000, stall_after=500))
    status, answer = await daemon.fetch("d", origin.url("/stalled"))
    assert (status, "stall timeout" in answer["detail"]) == (502, True)
    [first], [second] = origin.requests("/f"), origin.requests("/stalled")
    assert first.connection == second.connection


# -- time --------------------------------------------------------------------------------------------------------------


async def test_time_in_the_queue_and_in_a_pause_does_not_count_for_the_timeout(
    limited: Limited, origin: Origin
) -> None:
    daemon = await limited(max_concurrent=1)
    release = asyncio.Event()
    origin.script("/first", ScriptedResponse(size=1, head_event=release))
    origin.script(
        "/f", [ScriptedResponse(size=1000, etag='"v"', stall_after=500), ScriptedResponse(size=1000, etag='"v"')]
    )
    await daemon.start_download("d", origin.url("/first"))
    id = (await daemon.start_download("d", origin.url("/f"), timeout="3"))["download_id"]
    await asyncio.sleep(3.2)
    assert (await daemon.get_download(id))["status"] == "queued"
    release.set()
    await origin.wait_sent("/f", 500)
    assert (await daemon.control(id, "pause"))[0] == 200
    await asyncio.sleep(3.2)
    await daemon.control(id, "resume")
    assert (await daemon.wait_until_finished(id))["status"] == "completed"


async def test_the_timeout_holds_over_all_attempts(limited: Limited, origin: Origin) -> None:
    daemon = await limited(max_retries=1000)
    origin.script("/f", ScriptedResponse(size=1_000_000, etag='"v"', cut_after=10, cut=Cut.FIN))
    watch = daemon.stopwatch()
    status, answer = await daemon.fetch("d", origin.url("/f"), timeout="2")
    assert watch.seconds < 10
    # The timeout ended an attempt, or the next attempt would have started after it.
    assert (status, answer["error"]) in {(504, "DOWNLOAD_TIMEOUT"), (502, "NETWORK_ERROR")}
    assert await daemon.has_no_stray_part_file()
    origin.script("/silent", ScriptedResponse(size=1, head_event=asyncio.Event()))
    status, answer = await daemon.fetch("d", origin.url("/silent"), timeout="1")
    assert (status, answer["error"], answer["success"]) == (504, "DOWNLOAD_TIMEOUT", False)
    assert "1 s" in answer["detail"]
    [entry, _] = await daemon.history()
    assert (entry["id"], entry["status"], entry["error"]) == (answer["download_id"], "failed", "DOWNLOAD_TIMEOUT")


async def test_a_stalled_attempt_is_aborted_and_retried_until_max_retries(limited: Limited, origin: Origin) -> None:
    daemon = await limited(stall_timeout=1, max_retries=1)
    origin.script(
        "/f", [ScriptedResponse(size=1000, stall_after=0), ScriptedResponse(size=1000, head_event=asyncio.Event())]
    )
    id = (await daemon.start_download("d", origin.url("/f")))["download_id"]
    entry = await daemon.wait_for_state(id, "retrying")
    assert (entry["error"], entry["attempt"]) == ("NETWORK_ERROR", 1)
    assert entry["reason"]
    entry = await daemon.wait_until_finished(id)
    assert (entry["status"], entry["error"]) == ("failed", "NETWORK_ERROR")
    assert "stall timeout" in entry["detail"]
    assert len(origin.requests("/f")) == 2


async def assert_all_wait(daemon: DaemonProcess, origin: Origin, elsewhere: Origin, retry_after: str) -> float:
    """Start two downloads from a host that answers the first with Retry-After; return the Unix time of their ends."""
    host = origin.url("").removeprefix("http://")
    origin.script("/busy", [error_response(503, retry_after=retry_after), ScriptedResponse(size=1)])
    origin.script("/other", ScriptedResponse(size=1))
    busy = (await daemon.start_download("d", origin.url("/busy")))["download_id"]
    entry = await daemon.wait_for_state(busy, "retrying")
    assert entry["error"] == "REMOTE_ERROR"
    assert "next attempt" in entry["reason"]
    other = (await daemon.start_download("d", origin.url("/other"), priority="1000"))["download_id"]
    waiting = await daemon.get_download(other)
    assert (waiting["status"], f"{host} asked to wait" in waiting["reason"]) == ("queued", True)
    assert (await daemon.fetch("d", elsewhere.url("/elsewhere")))[0] == 201
    assert origin.requests("/other") == []
    for id in (busy, other):
        assert (await daemon.wait_until_finished(id))["status"] == "completed"
    return time()


async def test_retry_after_delays_all_downloads_of_the_host(
    daemon: DaemonProcess, origin: Origin, other_origin: Origin
) -> None:
    until_then = int(time()) + 7
    async with Origin(host="127.0.0.3") as elsewhere, asyncio.TaskGroup() as tasks:
        elsewhere.script("/elsewhere", ScriptedResponse(size=1))
        tasks.create_task(assert_all_wait(daemon, origin, elsewhere, "6"))
        date = formatdate(until_then, usegmt=True)
        waiting_for_date = tasks.create_task(assert_all_wait(daemon, other_origin, elsewhere, date))
    times = [
        sorted(request.received_at for path in ("/busy", "/other") for request in one.requests(path))
        for one in (origin, other_origin)
    ]
    assert [len(each) for each in times] == [3, 3]
    assert times[0][1] - times[0][0] >= 6
    assert waiting_for_date.result() >= until_then


async def test_retry_after_holds_if_the_download_cannot_wait_that_long(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", error_response(429, retry_after="100"))
    status, answer = await daemon.fetch("d", origin.url("/f"), timeout="10")
    assert (status, answer["error"]) == (502, "REMOTE_ERROR")
    assert "429" in answer["detail"]
    other = (await daemon.start_download("d", origin.url("/f")))["download_id"]
    entry = await daemon.get_download(other)
    assert (entry["status"], f"127.0.0.1:{origin.port} asked to wait" in entry["reason"]) == ("queued", True)
    assert len(origin.requests("/f")) == 1


# -- size --------------------------------------------------------------------------------------------------------------


async def test_a_file_over_max_size_is_aborted_with_and_without_a_known_length(
    limited: Limited, origin: Origin
) -> None:
    daemon = await limited(max_size=100_000)
    origin.script("/whole", ScriptedResponse(size=100_000))
    assert (await daemon.fetch("d", origin.url("/whole")))[0] == 201
    origin.script("/known-length", ScriptedResponse(size=100_001))
    origin.script("/chunked", ScriptedResponse(size=50_000_000, framing=Framing.CHUNKED))
    origin.script("/closed", ScriptedResponse(size=100_001, framing=Framing.CLOSE))
    for path in ("/known-length", "/chunked", "/closed"):
        status, answer = await daemon.fetch("d", origin.url(path))
        assert (status, answer["error"]) == (413, "FILE_TOO_LARGE"), path
        assert "100000" in answer["detail"]
        assert len(origin.requests(path)) == 1
    assert origin.bytes_sent("/chunked") < 50_000_000
    assert list(daemon.files()) == ["d/whole"]
    assert await daemon.has_no_stray_part_file()


# -- another URL -------------------------------------------------------------------------------------------------------


async def test_a_waiting_download_with_a_new_url_counts_for_the_new_host(
    limited: Limited, origin: Origin, other_origin: Origin
) -> None:
    daemon = await limited(max_per_host=1)
    origin.script("/f", ScriptedResponse(size=1000, stall_after=500))
    other_origin.script("/f", ScriptedResponse(size=2000, seed=2))
    running = (await daemon.start_download("d", origin.url("/f"), filename="running"))["download_id"]
    await origin.wait_sent("/f", 500)
    queued = (await daemon.start_download("d", origin.url("/f"), filename="moved"))["download_id"]
    for url, code in {"ftp://127.0.0.2/f": "INVALID_URL", "http://169.254.169.254/": "DOMAIN_BLOCKED"}.items():
        status, answer = await daemon.amend(queued, url=url)
        assert answer["error"] == code
        assert (await daemon.get_download(queued))["url"] == origin.url("/f")
    status, entry = await daemon.amend(queued, url=other_origin.url("/f"))
    assert (status, entry["url"]) == (200, other_origin.url("/f"))
    assert (await daemon.wait_until_finished(queued))["status"] == "completed"
    assert daemon.files() == {"d/moved": expected_bytes(2, 0, 2000)}
    # Its slot at the new host is free again; it never used one at the old host.
    assert (await daemon.fetch("d", other_origin.url("/f")))[0] == 201
    await daemon.control(running, "cancel")
    origin.script("/f", ScriptedResponse(size=1000))
    assert (await daemon.fetch("d", origin.url("/f")))[0] == 201


# -- reload ------------------------------------------------------------------------------------------------------------


async def test_a_reload_applies_limits_and_users_and_refuses_an_invalid_file_completely(
    limited: Limited, origin: Origin
) -> None:
    daemon = await limited(max_concurrent=1, max_queued=3)
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=10, head_event=release))
    for _ in range(4):
        await daemon.start_download("d", origin.url("/f"))
        await origin.wait_requested("/f")
    assert (await daemon.request("GET", "/d", params={"download": origin.url("/f")}))[0] == 429
    assert await statuses(daemon) == ["starting", "queued", "queued", "queued"]

    await daemon.reload(make_config(max_concurrent=0), "reload_refused")
    await daemon.reload(make_config(max_concurent=3), "reload_refused")
    assert await statuses(daemon) == ["starting", "queued", "queued", "queued"]

    await daemon.reload(make_config(max_concurrent=3, max_queued=3, max_size=5))
    await origin.wait_requested("/f", times=3)
    assert await statuses(daemon) == ["starting", "starting", "starting", "queued"]

    # The new limit is below the running downloads: none is stopped, and none starts before a slot is free.
    await daemon.reload(make_config(max_concurrent=1, max_queued=3))
    assert await statuses(daemon) == ["starting", "starting", "starting", "queued"]
    release.set()
    await wait_until(lambda: none_active(daemon))
    outcomes = [(entry["status"], entry["error"]) for entry in reversed(await daemon.history(status="completed"))]
    # Downloads that started with the small size limit fail by it, and the others do not.
    assert outcomes == [("completed", None)] * 2

    token = "another-token-of-the-same-user"
    old, new = (hashlib.sha256(each.encode()).hexdigest() for each in (TOKEN, token))
    await daemon.reload(DEFAULT_CONFIG.replace(old, new))
    assert (await daemon.request("GET", "/api/v1/downloads"))[0] == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert (await daemon.request("GET", "/api/v1/downloads", headers=headers))[0] == 200


async def test_retry_after_holds_for_the_host_that_sent_it(
    limited: Limited, origin: Origin, other_origin: Origin
) -> None:
    daemon = await limited(max_retries=5)
    origin.script("/moved", redirect(other_origin.url("/busy")))
    origin.script("/there", ScriptedResponse(size=10))
    other_origin.script("/busy", error_response(429, retry_after="30"))
    other_origin.script("/there", ScriptedResponse(size=10))
    moved = await daemon.start_download("d", origin.url("/moved"))
    await daemon.wait_for_state(moved["download_id"], "retrying")
    assert (await daemon.fetch("d", origin.url("/there")))[0] == 201
    waiting = await daemon.start_download("d", other_origin.url("/there"))
    entry = await daemon.get_download(waiting["download_id"])
    assert entry["status"] == "queued"
    assert "asked to wait" in entry["reason"]
    assert other_origin.requests("/there") == []


async def test_a_reload_and_a_change_remove_the_limit_of_many_downloads(
    restartable: DaemonProcess, origin: Origin
) -> None:
    restartable.config.write_text(make_config(speed_limit=400_000))
    origin.script("/f", ScriptedResponse(size=3_000_000, etag='"1"'))
    await restartable.start()
    ids = [
        (await restartable.start_download(f"d{number}", origin.url("/f"), segments="4", speed_limit="100000"))[
            "download_id"
        ]
        for number in range(4)
    ]
    await origin.wait_requested("/f", times=len(ids))
    await restartable.reload(make_config(speed_limit=0))
    for id in ids:
        assert (await restartable.amend(id, speed_limit=0))[0] == 200
    for id in ids:
        assert (await restartable.wait_until_finished(id))["status"] == "completed"


async def test_a_host_has_slots_of_its_own_which_a_reload_changes(
    tmp_path: Path, origin: Origin, other_origin: Origin
) -> None:
    for each in (origin, other_origin):
        each.set_fallback(lambda request: ScriptedResponse(size=100_000, stall_after=1000))
    config = make_config(max_per_host=3)
    host = '[[hosts]]\nhost = "127.0.0.1"\nslots = {}\n'
    async with DaemonProcess(tmp_path, config=config + host.format(1)) as daemon:
        for number in range(6):
            for each in (origin, other_origin):
                await daemon.start_download("d", each.url(f"/{number}"), segments="4")

        async def running() -> tuple[int, int]:
            active = [entry["url"] for entry in await daemon.active() if entry["status"] == "downloading"]
            return sum(origin.url("") in url for url in active), sum(other_origin.url("") in url for url in active)

        await wait_until(lambda: running_is(running, (1, 3)))
        reasons = [entry["reason"] for entry in await daemon.active() if origin.url("") in entry["url"]]
        assert f"1 download from 127.0.0.1:{origin.port} is running (slots)" in reasons
        await daemon.reload(config + host.format(5))
        await wait_until(lambda: running_is(running, (5, 3)))


async def running_is(running: Callable[[], Awaitable[tuple[int, int]]], expected: tuple[int, int]) -> bool:
    return await running() == expected
