"""Cancel, pause, resume, retry and wait in every situation of a download."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT, wait_until

SIZE = 2_000_000
HALF = 1_000_000
WHOLE = expected_bytes(0, 0, SIZE)


@pytest.fixture
async def daemon(daemon: DaemonProcess) -> AsyncIterator[DaemonProcess]:
    """Return the daemon; assert that its log has no traceback."""
    yield daemon
    assert "Traceback" not in daemon.log.read_text()


async def start(daemon: DaemonProcess, url: str, **parameters: Any) -> str:
    return str((await daemon.start_download("d", url, **parameters))["download_id"])


async def pause_half_way(daemon: DaemonProcess, origin: Origin, path: str) -> str:
    """Start a download of a file, half of which the origin sends, and pause it; the origin sends all of it later."""
    origin.script(
        path, [ScriptedResponse(size=SIZE, etag='"v"', stall_after=HALF), ScriptedResponse(size=SIZE, etag='"v"')]
    )
    id = await start(daemon, origin.url(path))
    await wait_until_received(daemon, id, HALF)
    assert (await daemon.control(id, "pause"))[0] == 200
    return id


async def wait_until_received(daemon: DaemonProcess, id: str, nbytes: int) -> None:
    async def has_received() -> bool:
        return bool((await daemon.get_download(id))["current_size"] >= nbytes)

    await wait_until(has_received)


# -- time to take effect -----------------------------------------------------------------------------------------------


@pytest.fixture
async def busy_downloads(memory_path: Path, origin: Origin) -> AsyncIterator[tuple[DaemonProcess, dict[str, str]]]:
    """Start a daemon with a download in each situation; yield the ids by the name of the situation."""
    async with (
        DaemonProcess(memory_path, config=make_config(max_concurrent=5)) as daemon,
        Origin(host="127.0.0.2") as unwilling,
    ):
        unwilling.script("/f", error_response(503, retry_after="100"))
        origin.script("/streaming", ScriptedResponse(size=SIZE * 100, etag='"v"', rate=5_000_000))
        origin.script("/stalled", ScriptedResponse(size=SIZE, etag='"v"', stall_after=HALF))
        origin.script("/silent", ScriptedResponse(size=SIZE, head_event=asyncio.Event()))
        origin.script("/crawling", ScriptedResponse(size=SIZE, etag='"v"'))
        origin.script("/endless", ScriptedResponse(size=10, stall_after=0))
        ids = {"retrying": await start(daemon, unwilling.url("/f"))}
        await daemon.wait_for_state(ids["retrying"], "retrying")
        for doing in ("streaming", "stalled", "silent"):
            ids[doing] = await start(daemon, origin.url(f"/{doing}"))
        ids["crawling"] = await start(daemon, origin.url("/crawling"), speed_limit="10")
        await start(daemon, origin.url("/endless"))
        ids["queued"] = await start(daemon, origin.url("/streaming"), filename="queued")
        await wait_until_received(daemon, ids["streaming"], 100_000)
        await wait_until_received(daemon, ids["stalled"], HALF)
        await wait_until_received(daemon, ids["crawling"], 1)
        await origin.wait_requested("/silent")
        assert (await daemon.get_download(ids["queued"]))["status"] == "queued"
        # The one without a slot comes first, so that the end of another does not start it.
        yield daemon, {"queued": ids.pop("queued"), **ids}
        assert "Traceback" not in daemon.log.read_text()


async def test_a_cancel_takes_effect_within_a_second_in_every_situation(
    busy_downloads: tuple[DaemonProcess, dict[str, str]], origin: Origin
) -> None:
    daemon, ids = busy_downloads
    for doing, id in ids.items():
        watch = daemon.stopwatch()
        status, entry = await daemon.control(id, "cancel")
        assert watch.seconds < 1, doing
        assert (status, entry["id"], entry["status"], entry["error"]) == (200, id, "cancelled", "CANCELLED"), doing
        assert (entry["success"], entry["message"]) == (True, "Download cancelled")
        assert entry["total_bytes"] is None
        assert entry["end_time"] >= entry["start_time"]
        assert [part.name for part in daemon.part_files() if id in part.name] == [], doing
        past = await daemon.get_download(id)
        assert past == {name: value for name, value in entry.items() if name not in {"success", "message"}}
    for path in ("/streaming", "/stalled", "/silent", "/crawling"):
        await asyncio.wait_for(origin.wait_idle(path), CONDITION_TIMEOUT)
    assert [entry["id"] for entry in await daemon.history()] == list(reversed(ids.values()))
    assert daemon.files() == {}


async def test_a_pause_takes_effect_within_a_second_and_keeps_received_bytes(
    busy_downloads: tuple[DaemonProcess, dict[str, str]], origin: Origin
) -> None:
    daemon, ids = busy_downloads
    kept = {"streaming": 100_000, "stalled": HALF, "crawling": 1}
    for doing, id in ids.items():
        watch = daemon.stopwatch()
        status, entry = await daemon.control(id, "pause")
        assert watch.seconds < 1, doing
        assert (status, entry["id"], entry["status"]) == (200, id, "paused"), doing
        assert (entry["success"], entry["message"], entry["reason"]) == (True, "Download paused", "paused by a user")
        assert entry["current_size"] >= kept.get(doing, 0)
        sizes = [part.stat().st_size for part in daemon.part_files() if id in part.name]
        assert sum(sizes) == entry["current_size"], doing
        again = await daemon.control(id, "pause")
        assert (again[0], again[1]["status"]) == (200, "paused"), doing
    for path in ("/streaming", "/stalled", "/silent", "/crawling"):
        await asyncio.wait_for(origin.wait_idle(path), CONDITION_TIMEOUT)
    assert Counter(entry["status"] for entry in await daemon.active()) == {"paused": 6, "downloading": 1}
    # A paused download has no slot, so another one runs.
    origin.script("/other", ScriptedResponse(size=1))
    assert (await daemon.fetch("d", origin.url("/other")))[0] == 201
    for id in ids.values():
        assert (await daemon.control(id, "cancel"))[0] == 200
    # The one that still runs has received no bytes.
    assert daemon.part_files() == []


# -- pause and resume --------------------------------------------------------------------------------------------------


async def test_a_resumed_download_continues_at_its_offset_and_is_complete(
    daemon: DaemonProcess, origin: Origin
) -> None:
    id = await pause_half_way(daemon, origin, "/f")
    [part] = daemon.part_files()
    assert (part.stat().st_size, part.stat().st_mode & 0o777) == (HALF, 0o600)
    status, entry = await daemon.control(id, "resume")
    assert (status, entry["id"], entry["success"], entry["message"]) == (200, id, True, "Download resumed")
    entry = await daemon.wait_until_finished(id)
    assert (entry["status"], entry["total_bytes"]) == ("completed", SIZE)
    assert daemon.files() == {"d/f": WHOLE}
    assert daemon.part_files() == []
    first, second = origin.requests("/f")
    assert (first.field("Range"), first.field("If-Range")) == (None, None)
    assert (second.field("Range"), second.field("If-Range")) == (f"bytes={HALF}-", '"v"')
    assert origin.bytes_sent("/f") == SIZE


async def test_repeated_pauses_lose_no_byte_and_use_no_attempt(daemon: DaemonProcess, origin: Origin) -> None:
    answers = [ScriptedResponse(size=SIZE, etag='"v"', stall_after=100_000) for _ in range(8)]
    origin.script("/f", [*answers, ScriptedResponse(size=SIZE, etag='"v"')])
    id = await start(daemon, origin.url("/f"))
    for times in range(1, 9):
        await wait_until_received(daemon, id, times * 100_000)
        assert (await daemon.control(id, "pause"))[1]["current_size"] == times * 100_000
        assert (await daemon.control(id, "resume"))[0] == 200
    assert (await daemon.wait_until_finished(id))["status"] == "completed"
    assert daemon.files() == {"d/f": WHOLE}
    assert origin.bytes_sent("/f") == SIZE


async def test_without_a_validator_a_resumed_download_of_another_file_starts_over(
    daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", [ScriptedResponse(size=SIZE, stall_after=HALF), ScriptedResponse(size=SIZE + 1, seed=2)])
    id = await start(daemon, origin.url("/f"))
    await wait_until_received(daemon, id, HALF)
    await daemon.control(id, "pause")
    await daemon.control(id, "resume")
    entry = await daemon.wait_until_finished(id)
    assert (entry["status"], entry["resumed_by"]) == ("completed", None)
    assert daemon.files() == {"d/f": expected_bytes(2, 0, SIZE + 1)}
    first, *samples, last = origin.requests("/f")
    assert (first.field("Range"), last.field("Range")) == (None, None)
    assert samples


@pytest.mark.parametrize(("etag", "resumed_by"), [('"v"', "validator"), ('W/"v"', "overlap"), (None, "overlap")])
async def test_the_history_says_how_a_download_was_resumed(
    daemon: DaemonProcess, origin: Origin, etag: str | None, resumed_by: str
) -> None:
    origin.script(
        "/f", [ScriptedResponse(size=SIZE, etag=etag, stall_after=HALF), ScriptedResponse(size=SIZE, etag=etag)]
    )
    id = await start(daemon, origin.url("/f"))
    await wait_until_received(daemon, id, HALF)
    await daemon.control(id, "pause")
    assert (await daemon.get_download(id))["resumed_by"] is None
    await daemon.control(id, "resume")
    entry = await daemon.wait_until_finished(id)
    assert (entry["status"], entry["resumed_by"]) == ("completed", resumed_by)
    assert daemon.files() == {"d/f": WHOLE}
    assert daemon.part_files() == []


async def test_a_paused_download_can_continue_from_another_url(daemon: DaemonProcess, origin: Origin) -> None:
    id = await pause_half_way(daemon, origin, "/expired")
    origin.script("/renewed", ScriptedResponse(size=SIZE, etag='"v"'))
    assert (await daemon.amend(id, url=origin.url("/renewed")))[1]["status"] == "paused"
    await daemon.control(id, "resume")
    assert (await daemon.wait_until_finished(id))["status"] == "completed"
    assert daemon.files() == {"d/expired": WHOLE}
    # The bytes before the rest are compared.
    assert [request.field("Range") for request in origin.requests("/renewed")] == [f"bytes={HALF - 65_536}-"]


@pytest.mark.parametrize(
    "other",
    [
        # Validators distinguish versions of one resource, not two resources.
        pytest.param(ScriptedResponse(size=SIZE, seed=1, etag='"v"'), id="other bytes under the same tag"),
        pytest.param(ScriptedResponse(size=SIZE, seed=1, etag='"w"'), id="another tag"),
        pytest.param(ScriptedResponse(size=SIZE + 1, seed=1, etag='"v"'), id="another length"),
        pytest.param(ScriptedResponse(size=SIZE, seed=1), id="no validator"),
        pytest.param(ScriptedResponse(size=SIZE, seed=1, etag='"v"', honour_ranges=False), id="ranges ignored"),
    ],
)
async def test_a_part_file_is_never_continued_with_another_resource(
    daemon: DaemonProcess, origin: Origin, other: ScriptedResponse
) -> None:
    id = await pause_half_way(daemon, origin, "/expired")
    origin.script("/other", other)
    await daemon.amend(id, url=origin.url("/other"))
    await daemon.control(id, "resume")
    assert (await daemon.wait_until_finished(id))["status"] == "completed"
    assert list(daemon.files().values()) == [expected_bytes(1, 0, other.size)]


async def test_a_part_file_that_was_removed_or_changed_is_never_continued(
    daemon: DaemonProcess, origin: Origin
) -> None:
    for name in ("gone", "longer"):
        id = await pause_half_way(daemon, origin, f"/{name}")
        [part] = daemon.part_files()
        part.unlink() if name == "gone" else part.write_bytes(WHOLE + b"x")
        await daemon.control(id, "resume")
        assert (await daemon.wait_until_finished(id))["status"] == "completed", name
        assert daemon.files()[f"d/{name}"] == WHOLE, name
        assert daemon.part_files() == []


# -- retry -------------------------------------------------------------------------------------------------------------


async def test_a_retried_download_keeps_its_id_and_leaves_the_history(daemon: DaemonProcess, origin: Origin) -> None:
    (daemon.root / "d").mkdir()
    (daemon.root / "d" / "skipped").write_bytes(b"there")
    origin.script("/failed", [error_response(404), ScriptedResponse(size=SIZE)])
    origin.script(
        "/cancelled",
        [ScriptedResponse(size=SIZE, etag='"v"', stall_after=HALF), ScriptedResponse(size=SIZE, etag='"v"')],
    )
    origin.script("/skipped", ScriptedResponse(size=SIZE))
    ids = {}
    for name in ("failed", "cancelled", "skipped"):
        ids[name] = await start(daemon, origin.url(f"/{name}"), conflict="skip")
    await wait_until_received(daemon, ids["cancelled"], HALF)
    await daemon.control(ids["cancelled"], "cancel")
    for name, id in ids.items():
        assert (await daemon.wait_until_finished(id))["status"] == name
    (daemon.root / "d" / "skipped").unlink()
    for name, id in ids.items():
        status, entry = await daemon.control(id, "retry")
        assert (status, entry["id"], entry["success"]) == (200, id, True)
        assert entry["error"] is None
        ended = await daemon.wait_until_finished(id)
        assert (ended["status"], ended["error"], ended["total_bytes"]) == ("completed", None, SIZE), name
    assert Counter(entry["id"] for entry in await daemon.history()) == dict.fromkeys(ids.values(), 1)
    assert daemon.files() == {f"d/{name}": WHOLE for name in ids}
    # A cancelled download has no part file that could be resumed.
    assert [request.field("Range") for request in origin.requests("/cancelled")] == [None, None]


async def test_a_retry_shortens_a_backoff_but_not_the_retry_after_of_a_host(
    daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", error_response(503, retry_after="100"))
    id = await start(daemon, origin.url("/f"))
    await daemon.wait_for_state(id, "retrying")
    status, entry = await daemon.control(id, "retry")
    assert (status, entry["status"]) == (200, "queued")
    assert f"127.0.0.1:{origin.port} asked to wait" in entry["reason"]
    assert len(origin.requests("/f")) == 1


# -- invalid actions ---------------------------------------------------------------------------------------------------

IMPOSSIBLE = {
    "completed": ("cancel", "pause", "resume", "retry"),
    "failed": ("cancel", "pause", "resume"),
    "cancelled": ("cancel", "pause", "resume"),
    "refused": ("cancel", "pause", "resume", "retry"),
    "downloading": ("resume", "retry"),
    "queued": ("resume", "retry"),
    "paused": ("retry",),
}


async def test_an_action_that_the_state_does_not_allow_is_refused_and_changes_nothing(
    tmp_path: Path, origin: Origin
) -> None:
    async with DaemonProcess(tmp_path, config=make_config(max_concurrent=1)) as daemon:
        origin.script("/f", ScriptedResponse(size=1))
        origin.script("/missing", error_response(404))
        origin.script("/stalled", ScriptedResponse(size=10, stall_after=5))
        ids = {
            "completed": await start(daemon, origin.url("/f")),
            "failed": await start(daemon, origin.url("/missing")),
        }
        for state, id in ids.items():
            assert (await daemon.wait_until_finished(id))["status"] == state
        _, refused = await daemon.request("GET", "/d", params={"download": "ftp://127.0.0.1/f"})
        ids["refused"] = refused["download_id"]
        ids["downloading"] = await start(daemon, origin.url("/stalled"))
        await daemon.wait_for_state(ids["downloading"], "downloading")
        await wait_until_received(daemon, ids["downloading"], 5)
        for state in ("cancelled", "queued", "paused"):
            ids[state] = await start(daemon, origin.url("/f"))
        await daemon.control(ids["cancelled"], "cancel")
        await daemon.control(ids["paused"], "pause")
        before = {state: await daemon.get_download(id) for state, id in ids.items()}
        for state, verbs in IMPOSSIBLE.items():
            for verb in verbs:
                status, body = await daemon.control(ids[state], verb)
                assert (status, body["success"], body["error"]) == (409, False, "INVALID_STATE"), (state, verb)
                assert len(body["detail"].split()) > 4, body
                # A download that has just started may still be reported in its previous state.
                expected = state if state != "downloading" else "starting|downloading"
                assert re.search(expected, body["detail"]) or state == "refused", body
            if state in {"completed", "failed", "cancelled", "refused"}:
                status, body = await daemon.amend(ids[state], priority=1)
                assert (status, body["error"]) == (409, "INVALID_STATE"), state
        for state, id in ids.items():
            assert {**await daemon.get_download(id), "speed": None} == {**before[state], "speed": None}


async def test_an_unknown_id_is_not_found(daemon: DaemonProcess) -> None:
    for id in (str(uuid4()), "0", "a..b", "%252e", "%00", "x" * 3000, "é"):
        for verb in ("cancel", "pause", "resume", "retry"):
            status, body = await daemon.control(id, verb)
            assert (status, body["success"], body["error"]) == (404, False, "NOT_FOUND"), (id, verb)
        assert (await daemon.request("GET", f"/api/v1/downloads/{id}"))[0] == 404
        assert (await daemon.amend(id, priority=1))[0] == 404


# -- wait --------------------------------------------------------------------------------------------------------------


async def test_wait_ends_with_the_download_or_at_the_time_limit(
    daemon_in_memory: DaemonProcess, origin: Origin
) -> None:
    daemon = daemon_in_memory
    origin.script("/slow", ScriptedResponse(size=1000, delay=0.3))
    status, answer = await daemon.fetch("d", origin.url("/slow"))
    assert (status, answer["success"], answer["message"], answer["error"]) == (201, True, "Download completed", None)
    assert daemon.files().keys() == {"d/slow"}

    origin.script("/stalled", ScriptedResponse(size=1000, stall_after=500))
    watch = daemon.stopwatch()
    status, answer = await daemon.fetch("d", origin.url("/stalled"), wait="1")
    assert watch.elapsed >= 1
    assert watch.seconds < 5
    assert (status, answer["success"], answer["message"], answer["error"]) == (201, True, "Download started", None)
    await daemon.wait_for_state(answer["download_id"], "downloading")
    status, answer = await daemon.fetch("d", origin.url("/stalled"), wait="0")
    assert (status, answer["message"]) == (201, "Download started")


ENDS = {
    "404": (error_response(404), {}, 404, "REMOTE_FILE_NOT_FOUND"),
    "403": (error_response(403), {}, 502, "REMOTE_ERROR"),
    "timeout": (ScriptedResponse(size=10, stall_after=0), {"timeout": "1"}, 504, "DOWNLOAD_TIMEOUT"),
    "checksum": (ScriptedResponse(size=10), {"checksum": "md5=" + "0" * 32}, 422, "CHECKSUM_MISMATCH"),
}


async def test_wait_returns_the_status_of_the_error_code_of_a_failure(daemon: DaemonProcess, origin: Origin) -> None:
    for name, (script, parameters, expected, code) in ENDS.items():
        origin.script(f"/{name}", script)
        status, answer = await daemon.fetch("d", origin.url(f"/{name}"), **parameters)
        assert (status, answer["success"], answer["error"]) == (expected, False, code)
        assert (answer["message"], answer["path"]) == ("Download failed", f"d/{name}")
        assert answer["detail"]
        [entry, *_] = await daemon.history()
        assert (entry["id"], entry["status"], entry["error"]) == (answer["download_id"], "failed", code)


async def test_wait_ends_when_another_client_cancels(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/stalled", ScriptedResponse(size=1000, stall_after=500))
    waiting = asyncio.create_task(daemon.fetch("d", origin.url("/stalled")))
    await origin.wait_sent("/stalled", 500)
    [entry] = await daemon.active()
    await daemon.control(entry["id"], "cancel")
    status, answer = await asyncio.wait_for(waiting, CONDITION_TIMEOUT)
    assert (status, answer["success"], answer["error"]) == (409, False, "CANCELLED")


# -- concurrent requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
async def test_many_contradicting_requests_leave_consistent_records(
    restartable: DaemonProcess, origin: Origin, seed: int
) -> None:
    chance = random.Random(seed)
    restartable.config.write_text(make_config(max_concurrent=6, max_per_host=5))
    await restartable.start()
    # No download ends before half of the requests are answered, so that they meet active ones on a slow machine too.
    release = asyncio.Event()
    for number in range(20):
        origin.script(
            f"/{number}",
            [
                ScriptedResponse(size=200_000, seed=number, etag='"v"', rate=2_000_000, body_event=release),
                error_response(500),
                ScriptedResponse(size=200_000, seed=number, etag='"v"', cut_after=50_000),
                ScriptedResponse(size=200_000, seed=number, etag='"v"', rate=2_000_000),
                ScriptedResponse(size=200_000, seed=number, etag='"v"'),
            ],
        )
    ids = [await start(restartable, origin.url(f"/{number}")) for number in range(20)]
    verbs = ["cancel", "pause", "resume", "retry"] * 50
    chance.shuffle(verbs)
    answered = 0

    async def send_control(verb: str) -> int:
        nonlocal answered
        await asyncio.sleep(chance.uniform(0, 0.8))
        id = chance.choice(ids)
        status, body = await restartable.control(id, verb)
        assert body["id"] == id if status == 200 else body["error"] == "INVALID_STATE", body
        if chance.random() < 0.3:
            assert (await restartable.amend(id, priority=chance.randrange(9)))[0] in {200, 409}
        answered += 1
        if answered >= len(verbs) // 2:
            release.set()
        return status

    statuses = Counter(await asyncio.wait_for(asyncio.gather(*map(send_control, verbs)), CONDITION_TIMEOUT))
    assert set(statuses) <= {200, 409}
    assert statuses[200] > 20

    await assert_consistent(restartable, ids)
    # The remaining downloads finish: none hangs, and no slot was lost.
    for id in ids:
        await restartable.control(id, "resume")
        await restartable.control(id, "retry")
    for id in ids:
        assert (await restartable.wait_until_finished(id))["status"] == "completed"
    await assert_consistent(restartable, ids)
    assert restartable.part_files() == []
    assert restartable.files() == {f"d/{number}": expected_bytes(number, 0, 200_000) for number in range(20)}
    levels = {line["level"] for line in restartable.log_lines()}
    assert levels <= {"info", "debug"}, [
        line for line in restartable.log_lines() if line["level"] not in {"info", "debug"}
    ]


async def assert_consistent(daemon: DaemonProcess, ids: list[str]) -> None:
    """Assert that each download is either active or finished, and each part file belongs to an active one."""

    async def records_are_consistent() -> bool:
        # Two requests at two times: a download that ends between them is in both responses.
        active, past = await daemon.active(), await daemon.history()
        return Counter(entry["id"] for entry in [*active, *past]) == dict.fromkeys(ids, 1)

    await wait_until(records_are_consistent)
    active = {entry["id"] for entry in await daemon.active()}
    owners = [next((id for id in ids if id in part.name), part.name) for part in daemon.part_files()]
    assert len(owners) == len(set(owners))
    ended_meanwhile = {entry["id"] for entry in await daemon.history()}
    assert set(owners) <= active | ended_meanwhile


async def test_the_same_request_many_times_at_once_is_applied_once(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"', stall_after=SIZE // 4))
    id = await start(daemon, origin.url("/f"))
    await wait_until_received(daemon, id, SIZE // 4)
    pauses = await asyncio.gather(*(daemon.control(id, "pause") for _ in range(20)))
    assert {(status, body["status"]) for status, body in pauses} == {(200, "paused")}
    resumes = await asyncio.gather(*(daemon.control(id, "resume") for _ in range(20)))
    assert Counter(status for status, _ in resumes) == {200: 1, 409: 19}
    await origin.wait_requested("/f", times=2)
    cancels = await asyncio.gather(*(daemon.control(id, "cancel") for _ in range(20)))
    assert {body.get("status") or body["error"] for _, body in cancels} <= {"cancelled", "INVALID_STATE"}
    assert 200 in {status for status, _ in cancels}
    [entry] = await daemon.history()
    assert (entry["id"], entry["status"]) == (id, "cancelled")
    retries = await asyncio.gather(*(daemon.control(id, "retry") for _ in range(20)))
    assert Counter(status for status, _ in retries) == {200: 1, 409: 19}
    assert len(await daemon.active()) == 1
    assert await daemon.history() == []
    await origin.wait_requested("/f", times=3)
    assert origin.active("/f") == 1


async def test_requests_at_the_end_of_an_attempt_leave_consistent_records(tmp_path: Path, origin: Origin) -> None:
    chance = random.Random(1)
    async with DaemonProcess(tmp_path, config=make_config(max_retries=1000)) as daemon:
        ids = []
        for number in range(8):
            origin.script(f"/{number}", ScriptedResponse(size=SIZE, etag='"v"', cut_after=number % 2))
            ids.append(await start(daemon, origin.url(f"/{number}"), timeout="0"))

        async def disturb() -> None:
            for _ in range(100):
                verb = chance.choice(["cancel", "pause", "retry", "retry", "resume"])
                status, body = await asyncio.wait_for(daemon.control(chance.choice(ids), verb), CONDITION_TIMEOUT)
                assert status in {200, 409}, body

        await asyncio.gather(*(disturb() for _ in range(12)))
        assert [line for line in daemon.log_lines() if line["level"] not in {"info", "debug"}] == []
        for number, id in enumerate(ids):
            origin.script(f"/{number}", ScriptedResponse(size=SIZE, etag='"v"'))
            await daemon.control(id, "resume")
            await daemon.control(id, "retry")
        for id in ids:
            assert (await daemon.wait_until_finished(id))["status"] == "completed"
        assert set(daemon.files().values()) == {WHOLE}
        assert daemon.part_files() == []


# -- after a failure ---------------------------------------------------------------------------------------------------


async def test_a_kept_part_file_makes_way_for_a_new_download(tmp_path: Path, origin: Origin) -> None:
    origin.script("/old", [ScriptedResponse(size=SIZE, etag='"v"', cut_after=HALF), error_response(403)])
    origin.script("/new", ScriptedResponse(size=SIZE, etag='"v"'))
    quota = f'\n[[directories]]\npath = "d"\nquota = {SIZE}\n'
    async with DaemonProcess(tmp_path, config=make_config() + quota) as daemon:
        old = await start(daemon, origin.url("/old"))
        assert (await daemon.wait_until_finished(old))["kept_bytes"] == HALF
        new = await start(daemon, origin.url("/new"))
        assert (await daemon.wait_until_finished(new))["status"] == "completed"
        assert (await daemon.get_download(old))["kept_bytes"] == 0
        assert (daemon.files(), daemon.part_files()) == ({"d/new": WHOLE}, [])
