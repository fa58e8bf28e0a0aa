"""A storage root that is removed, moved, unmounted or covered while the daemon runs, and is there again later."""

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
from msgspec.structs import replace
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse
from support.small_disk import mount_launcher, path_seen_by, run_in_mount_namespace
from support.waiting import wait_until

SMALL = 100_000
BIG = 4_000_000
GONE = "the storage root is gone"
NOTHING_HELD: Final[Mapping[str, int]] = MappingProxyType({})


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """Start a daemon without retries."""
    async with DaemonProcess(tmp_path, config=make_config(max_retries=0, max_concurrent=8)) as daemon:
        yield daemon
        assert "Traceback" not in daemon.log.read_text()


async def waiting(daemon: DaemonProcess, count: int) -> list[dict[str, Any]]:
    """Return the active downloads once this number waits for the root."""

    async def all_wait() -> list[dict[str, Any]]:
        active = await daemon.active()
        held = [entry for entry in active if str(entry["reason"]).startswith(GONE)]
        return active if len(held) == count else []

    return list(await wait_until(all_wait))


async def completed(daemon: DaemonProcess) -> int:
    """Return the number of downloads once all are completed."""

    async def none_is_left() -> bool:
        return await daemon.active() == []

    await wait_until(none_is_left, 60)
    ended = await daemon.history()
    assert [entry["detail"] for entry in ended if entry["status"] != "completed"] == []
    return len(ended)


def serve(origin: Origin, held: Mapping[str, int] = NOTHING_HELD) -> asyncio.Event:
    """Serve small files, slow files over each path of the bytes, and files that wait for the returned event.

    `held` has the number of responses to a path that last longer than what a test does meanwhile; later ones are fast.
    """
    release = asyncio.Event()
    origin.script("/small", ScriptedResponse(size=SMALL))
    for path, whole in (
        ("/known", ScriptedResponse(size=BIG, etag='"v"')),
        ("/unknown", ScriptedResponse(size=BIG, framing=Framing.CHUNKED)),
    ):
        long = [replace(whole, rate=BIG // 20)] * held.get(path, 0)
        origin.script(path, [*long, whole] if held else replace(whole, rate=BIG // 2))
    origin.script("/fast", ScriptedResponse(size=BIG, etag='"v"'))
    origin.script("/gated", ScriptedResponse(size=SMALL, body_event=release))
    return release


async def test_a_removed_root_fails_no_download_and_a_restored_root_is_used(
    daemon: DaemonProcess, origin: Origin
) -> None:
    release = serve(origin, {"/known": 4, "/unknown": 1})
    running = [
        await daemon.start_download("d", origin.url(path), **more)
        for path, more in (
            ("/known", {}),
            ("/known", {"segments": 2}),
            ("/known", {"checksum": f"sha-256={'0' * 64}", "filename": "cancelled"}),
            ("/unknown", {}),
            ("/gated", {"filename": "a"}),
            ("/gated", {"filename": "b", "conflict": "error"}),
            ("/gated", {"filename": "c", "conflict": "overwrite"}),
            ("/gated", {"filename": "d", "conflict": "skip"}),
        )
    ]
    await wait_until(lambda: len(daemon.part_files()) == 4)
    items = [{"url": origin.url("/small"), "directory": "q"} for _ in range(100)]
    assert (await daemon.request("POST", "/api/v1/downloads", json={"downloads": items}))[0] == 201
    shutil.rmtree(daemon.root)
    release.set()
    # New downloads are accepted meanwhile, and wait too.
    for number, conflict in enumerate(("rename", "error", "skip")):
        await daemon.start_download("later", origin.url("/small"), filename=f"{number}", conflict=conflict)
    active = await waiting(daemon, 111)
    assert Counter(entry["error"] for entry in active) == {None: 103, "STORAGE_ERROR": 8}
    assert str(daemon.root) not in str(active)
    assert await daemon.history() == []
    assert origin.requests("/small") == []
    assert not daemon.root.exists()
    assert (await daemon.request("DELETE", f"/api/v1/downloads/{running[2]['download_id']}"))[0] == 200
    assert (await daemon.history(status="cancelled"))[0]["id"] == running[2]["download_id"]
    daemon.root.mkdir()

    async def none_is_left() -> bool:
        return await daemon.active() == []

    await wait_until(none_is_left, 60)
    assert Counter(entry["status"] for entry in await daemon.history()) == {"completed": 110, "cancelled": 1}
    files = daemon.files()
    assert files.pop("d/known") == files.pop("d/known (1)") == files.pop("d/unknown") == expected_bytes(0, 0, BIG)
    assert len(files) == 107
    assert set(files.values()) == {expected_bytes(0, 0, SMALL)}
    await wait_until(lambda: daemon.part_files() == [])
    # It is logged once, not for each download that waits.
    assert len(await daemon.wait_for_log("queue_resumed")) == 1
    assert len(await daemon.wait_for_log("queue_suspended")) == 1


async def test_only_the_first_download_sends_a_request_while_the_root_is_missing(
    daemon: DaemonProcess, origin: Origin
) -> None:
    serve(origin)
    shutil.rmtree(daemon.root)
    first = (await daemon.start_download("d", origin.url("/small")))["download_id"]
    await waiting(daemon, 1)
    for _ in range(20):
        await daemon.start_download("d", origin.url("/small"))
    await waiting(daemon, 21)
    assert (await daemon.get_download(first))["status"] == "retrying"
    assert len(origin.requests("/small")) == 1
    daemon.root.mkdir()
    assert await completed(daemon) == 21
    assert len(daemon.files()) == 21


async def test_bytes_in_a_restored_root_are_not_fetched_again(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    for more in ({}, {"segments": "2"}):
        await daemon.start_download("d", origin.url("/known"), **more)
    await wait_until(lambda: [part.stat().st_size > BIG // 4 for part in daemon.part_files()] == [True, True])
    away = daemon.root.rename(daemon.folder / "away")
    await waiting(daemon, 2)
    before = len(origin.requests("/known"))
    away.rename(daemon.root)
    assert await completed(daemon) == 2
    assert set(daemon.files().values()) == {expected_bytes(0, 0, BIG)}
    ranges = {one.field("Range") for one in origin.requests("/known")[before:]}
    assert ranges
    assert not {None, "bytes=0-"} & ranges


async def test_a_restart_while_the_root_is_missing_loses_nothing(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin, {"/known": 3})
    for _ in range(3):
        await daemon.start_download("d", origin.url("/known"))
    await wait_until(lambda: len(daemon.part_files()) == 3)
    shutil.rmtree(daemon.root)
    await waiting(daemon, 3)
    await daemon.kill()
    await daemon.start()
    # The start made an empty directory, which could be a bare mount point.
    await waiting(daemon, 3)
    assert (await daemon.request("POST", "/api/v1/storage/accept"))[0] == 200
    assert await completed(daemon) == 3
    assert set(daemon.files().values()) == {expected_bytes(0, 0, BIG)}


async def test_a_root_that_is_replaced_repeatedly_loses_nothing(restartable: DaemonProcess, origin: Origin) -> None:
    daemon = restartable
    # A part file that is removed just before its root uses a retry.
    daemon.config.write_text(make_config(max_retries=5))
    await daemon.start()
    serve(origin)
    items = [
        {"url": origin.url("/fast" if number % 10 else "/known"), "directory": str(number % 7)} for number in range(120)
    ]
    assert (await daemon.request("POST", "/api/v1/downloads", json={"downloads": items}))[0] == 201
    for _ in range(8):
        await asyncio.sleep(0.1)
        # Removal may need several tries because files are created in it meanwhile.
        while daemon.root.exists():
            with contextlib.suppress(OSError):
                shutil.rmtree(daemon.root)
        await asyncio.sleep(0.05)
        daemon.root.mkdir()
    assert await completed(daemon) == 120
    assert set(daemon.files().values()) <= {expected_bytes(0, 0, BIG)}


async def test_on_an_unmounted_disk_nothing_is_completed(tmp_path: Path, disk: Path, origin: Origin) -> None:
    # The root is a directory of the disk, or the disk itself, whose mount point is uncovered.
    for root in (disk / "files", disk):
        serve(origin, {"/known": 1})
        folder = tmp_path / f"daemon of {root.name}"
        folder.mkdir()
        daemon = DaemonProcess(folder, config=make_config(max_retries=0), launcher=mount_launcher("size=64m", disk))
        daemon.root = root
        async with daemon:
            daemon.root = path_seen_by(daemon, root)
            await daemon.fetch("d", origin.url("/small"))
            await daemon.start_download("d", origin.url("/known"))
            await wait_until(daemon.part_files)
            run_in_mount_namespace(daemon, "umount", "--lazy", disk)
            await daemon.start_download("d", origin.url("/small"))
            await waiting(daemon, 2)
            assert list(path_seen_by(daemon, disk).iterdir()) == []
            run_in_mount_namespace(daemon, "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk)
            daemon.root.mkdir(exist_ok=True)
            assert await completed(daemon) == 3
            assert daemon.files() == {"d/known": expected_bytes(0, 0, BIG), "d/small": expected_bytes(0, 0, SMALL)}
            assert "Traceback" not in daemon.log.read_text()


async def test_a_disk_mounted_over_the_root_and_the_covered_root_are_both_used(
    tmp_path: Path, disk: Path, origin: Origin
) -> None:
    serve(origin)
    daemon = DaemonProcess(tmp_path, config=make_config(max_retries=0), launcher=mount_launcher("size=64m", disk))
    daemon.root = disk / "files"
    async with daemon:
        daemon.root = path_seen_by(daemon, daemon.root)
        await daemon.start_download("d", origin.url("/known"))
        await wait_until(daemon.part_files)
        run_in_mount_namespace(daemon, "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk / "files")
        await daemon.start_download("d", origin.url("/small"))
        assert await completed(daemon) == 2
        assert daemon.files() == {"d/known": expected_bytes(0, 0, BIG), "d/small": expected_bytes(0, 0, SMALL)}
        run_in_mount_namespace(daemon, "umount", "--lazy", disk / "files")
        assert daemon.files() == {}
        assert (await daemon.fetch("d", origin.url("/small")))[1]["message"] == "Download completed"
        assert daemon.files() == {"d/small": expected_bytes(0, 0, SMALL)}
        assert "Traceback" not in daemon.log.read_text()


# -- at the start ------------------------------------------------------------------------------------------------------


async def test_a_start_below_a_bare_mount_point_holds_the_queue_until_the_disk_is_mounted(
    tmp_path: Path, origin: Origin
) -> None:
    serve(origin)
    async with DaemonProcess(tmp_path, config=make_config(max_retries=0)) as daemon:
        await daemon.fetch("d", origin.url("/small"))
        await daemon.stop()
        daemon.root.rename(tmp_path / "disk")
        daemon.root.mkdir()
        await daemon.start()
        held = await daemon.start_download("d", origin.url("/small"))
        [entry] = await waiting(daemon, 1)
        assert "downloadctl storage accept" in entry["reason"]
        assert (await daemon.request("GET", "/api/v1/health"))[1]["storage"] == entry["reason"]
        assert {line["reason"] for line in await daemon.wait_for_log("queue_suspended")} == {entry["reason"]}
        assert list(daemon.root.iterdir()) == []
        daemon.root.rmdir()
        (tmp_path / "disk").rename(daemon.root)
        assert (await daemon.wait_until_finished(held["download_id"]))["status"] == "completed"
        assert sorted(daemon.files()) == ["d/small", "d/small (1)"]
        assert (await daemon.request("GET", "/api/v1/health"))[1]["storage"] == "ok"


async def test_another_disk_is_used_once_it_is_accepted(tmp_path: Path, origin: Origin) -> None:
    serve(origin)
    async with DaemonProcess(tmp_path, config=make_config(max_retries=0)) as daemon:
        await daemon.fetch("d", origin.url("/small"))
        await daemon.kill()
        daemon.root.rename(tmp_path / "disk")
        await daemon.start()
        held = await daemon.start_download("d", origin.url("/small"))
        await waiting(daemon, 1)
        status, body = await daemon.request("POST", "/api/v1/storage/accept")
        assert (status, body["success"]) == (200, True)
        assert (await daemon.wait_until_finished(held["download_id"]))["status"] == "completed"
        assert sorted(daemon.files()) == ["d/small"]
        await daemon.kill()
        await daemon.start()
        assert (await daemon.request("GET", "/api/v1/health"))[1]["storage"] == "ok"
