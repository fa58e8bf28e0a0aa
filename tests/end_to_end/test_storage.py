"""Storage of files: names, conflicts, paths outside of the root, full and read-only disks."""

import asyncio
import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.daemon_process import TOKEN, DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse, redirect
from support.small_disk import daemon_on_disk, mount_launcher, path_seen_by
from support.waiting import CONDITION_TIMEOUT, wait_until

SIZE = 100_000
WHOLE = expected_bytes(0, 0, SIZE)
LONG_AGO = 1_600_000_000


@pytest.fixture
async def daemon(daemon: DaemonProcess) -> AsyncIterator[DaemonProcess]:
    """Return the daemon; assert that it leaves no traceback in its log and no part file."""
    yield daemon
    assert "Traceback" not in daemon.log.read_text()
    assert await daemon.has_no_stray_part_file()


def put(daemon: DaemonProcess, path: str, content: bytes = b"old") -> Path:
    """Write a file below the root."""
    file = daemon.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


# -- conflicts ---------------------------------------------------------------------------------------------------------


async def test_a_taken_name_is_handled_as_requested(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f.tar.gz", ScriptedResponse(size=SIZE))
    url = origin.url("/f.tar.gz")
    for directory in ("default", "rename", "overwrite", "skip", "error"):
        put(daemon, f"{directory}/f.tar.gz")

    status, answer = await daemon.fetch("default", url)
    assert (status, answer["filename"], answer["path"]) == (201, "f (1).tar.gz", "default/f (1).tar.gz")
    status, answer = await daemon.fetch("rename", url, conflict="rename")
    assert (status, answer["filename"]) == (201, "f (1).tar.gz")
    status, answer = await daemon.fetch("overwrite", url, conflict="overwrite")
    assert (status, answer["filename"]) == (201, "f.tar.gz")

    before = origin.bytes_sent("/f.tar.gz")
    status, answer = await daemon.fetch("skip", url, conflict="skip")
    assert (status, answer["success"], answer["message"], answer["error"]) == (201, True, "Download skipped", None)
    assert (await daemon.get_download(answer["download_id"]))["status"] == "skipped"
    status, answer = await daemon.fetch("error", url, conflict="error")
    assert (status, answer["success"], answer["error"]) == (409, False, "FILE_EXISTS")
    assert "error/f.tar.gz" in answer["detail"]
    # If the name is known before, no request is sent to the origin.
    requests = len(origin.requests("/f.tar.gz"))
    for conflict, expected in {"skip": 201, "error": 409}.items():
        status, answer = await daemon.fetch(conflict, url, conflict=conflict, filename="f.tar.gz")
        assert status == expected
    assert len(origin.requests("/f.tar.gz")) == requests
    assert origin.bytes_sent("/f.tar.gz") - before <= 2 * SIZE

    assert daemon.files() == {
        "default/f.tar.gz": b"old",
        "default/f (1).tar.gz": WHOLE,
        "rename/f.tar.gz": b"old",
        "rename/f (1).tar.gz": WHOLE,
        "overwrite/f.tar.gz": WHOLE,
        "skip/f.tar.gz": b"old",
        "error/f.tar.gz": b"old",
    }
    status, answer = await daemon.fetch("free", url, conflict="skip")
    assert (status, answer["message"]) == (201, "Download completed")
    status, answer = await daemon.fetch("free2", url, conflict="error")
    assert (status, answer["message"]) == (201, "Download completed")


async def test_twenty_downloads_of_one_name_at_once_get_twenty_names(daemon: DaemonProcess, origin: Origin) -> None:
    release = asyncio.Event()
    for seed in range(20):
        origin.script(f"/{seed}/f.bin", ScriptedResponse(size=SIZE, seed=seed, body_event=release))
    fetches = [asyncio.create_task(daemon.fetch("d", origin.url(f"/{seed}/f.bin"), segments="1")) for seed in range(20)]
    await origin.wait_requested("/0/f.bin")
    release.set()
    results = await asyncio.gather(*fetches)
    assert Counter(status for status, _ in results) == {201: 20}
    names = {answer["filename"] for _, answer in results}
    assert names == {"f.bin", *(f"f ({n}).bin" for n in range(1, 20))}
    for seed, (_, answer) in enumerate(results):
        assert (daemon.root / answer["path"]).read_bytes() == expected_bytes(seed, 0, SIZE)
    assert len(daemon.files()) == 20
    assert {entry["filename"] for entry in await daemon.history()} == names


CONFLICT_OUTCOMES = {
    "error": (409, "FILE_EXISTS", "Download failed"),
    "skip": (201, None, "Download skipped"),
    "overwrite": (201, None, "Download completed"),
}


@pytest.mark.parametrize("named", [True, False], ids=["by-the-user", "by-the-url"])
@pytest.mark.parametrize("conflict", CONFLICT_OUTCOMES)
async def test_one_of_twenty_downloads_that_require_the_same_name_gets_it(
    daemon: DaemonProcess, origin: Origin, named: bool, conflict: str
) -> None:
    release = asyncio.Event()
    for seed in range(20):
        origin.script(f"/{seed}/f.bin", ScriptedResponse(size=SIZE, seed=seed, body_event=release))
    name = {"filename": "f.bin"} if named else {}
    fetches = [
        asyncio.create_task(daemon.fetch("d", origin.url(f"/{seed}/f.bin"), conflict=conflict, **name))
        for seed in range(20)
    ]
    await origin.wait_requested("/0/f.bin")
    release.set()
    results = [(status, answer["error"], answer["message"]) for status, answer in await asyncio.gather(*fetches)]
    counted = Counter({CONFLICT_OUTCOMES[conflict]: 19})
    counted[201, None, "Download completed"] += 1
    assert Counter(results) == counted
    winners = [seed for seed, result in enumerate(results) if result == (201, None, "Download completed")]
    [(path, content)] = daemon.files().items()
    assert path == "d/f.bin"
    assert content in [expected_bytes(seed, 0, SIZE) for seed in winners]


async def test_an_overwritten_file_is_the_old_one_until_the_new_one_is_complete(
    daemon: DaemonProcess, origin: Origin
) -> None:
    release = asyncio.Event()
    old = put(daemon, "d/f")
    reader = old.open("rb")
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"', body_event=release))
    fetch = asyncio.create_task(daemon.fetch("d", origin.url("/f"), conflict="overwrite"))
    await origin.wait_requested("/f")
    assert old.read_bytes() == b"old"
    release.set()
    assert (await fetch)[0] == 201
    assert old.read_bytes() == WHOLE
    # A reader of the old file keeps its content: the name was replaced, not the bytes.
    assert reader.read() == b"old"
    reader.close()
    (daemon.root / "d" / "g").mkdir()
    status, answer = await daemon.fetch("d", origin.url("/f"), conflict="overwrite", filename="g")
    assert (status, answer["error"]) == (400, "INVALID_PATH")
    assert "directory" in answer["detail"]


# -- names -------------------------------------------------------------------------------------------------------------

PART_NAME = ".x.01a20824-eaf6-743b-a29b-54084ba64bac.1.part"
LONG = "ü" * 150 + ".tar.gz"

# Content-Disposition, and the name that it gives to /files/fallback.bin.
DISPOSITIONS = {
    'attachment; filename="plain.txt"': "plain.txt",
    "attachment; filename*=UTF-8''na%C3%AFve%20name.txt; filename=\"other.txt\"": "naïve name.txt",
    'attachment; filename="../../etc/passwd"': "passwd",
    r'attachment; filename="..\\..\\boot.ini"': "boot.ini",
    "attachment; filename*=UTF-8''..%2F..%2Fetc%2Fcron.d": "cron.d",
    "attachment; filename*=UTF-8''a%00b.txt": "ab.txt",
    "attachment; filename*=UTF-8''%E2%80%AEgpj.exe": "gpj.exe",
    f"attachment; filename*=UTF-8''{quote(LONG)}": "ü" * 124 + ".tar.gz",
    'attachment; filename="CON"': "_CON",
    'attachment; filename="nul.txt"': "_nul.txt",
    'attachment; filename=".bashrc"': "bashrc",
    'attachment; filename=".."': "fallback.bin",
    'attachment; filename=""': "fallback.bin",
    'attachment; filename="   "': "fallback.bin",
    'attachment; filename="data.part"': "data.part",
    f"attachment; filename={PART_NAME}": PART_NAME[1:],
    "inline": "fallback.bin",
    ";;;": "fallback.bin",
}


async def test_an_origin_can_suggest_a_name_and_nothing_else(daemon: DaemonProcess, origin: Origin) -> None:
    for number, (field, expected) in enumerate(DISPOSITIONS.items()):
        origin.script(f"/{number}/fallback.bin", ScriptedResponse(size=1, headers=[("Content-Disposition", field)]))
        status, answer = await daemon.fetch(f"d{number}", origin.url(f"/{number}/fallback.bin"))
        assert (status, answer["filename"]) == (201, expected), field
        assert [file.name for file in (daemon.root / f"d{number}").iterdir()] == [expected], field


# The path of a URL, and the name that it gives.
SEGMENTS = {
    "/a/b%20c.txt": "b c.txt",
    "/a/b+c.txt": "b+c.txt",
    "/%2e%2e%2f%2e%2e%2fetc%2fpasswd": "passwd",
    "/..%5c..%5cboot.ini": "boot.ini",
    "/a%00b": "ab",
    "/CON.txt": "_CON.txt",
    "/.htaccess": "htaccess",
    "/f.part": "f.part",
    "/a/": "download",
    "/": "download",
    f"/{quote(LONG)}": "ü" * 124 + ".tar.gz",
    "/%ff%fe.bin": None,
}


async def test_the_name_from_a_url_is_safe(daemon: DaemonProcess, origin: Origin) -> None:
    for number, (path, expected) in enumerate(SEGMENTS.items()):
        origin.script(path, ScriptedResponse(size=1))
        status, answer = await daemon.fetch(f"d{number}", origin.url(path))
        assert status == 201, (path, answer)
        [file] = (daemon.root / f"d{number}").iterdir()
        assert file.name == answer["filename"]
        assert expected in {None, file.name}, path


async def test_the_requested_name_precedes_that_of_the_origin_and_that_of_the_final_url(
    daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/start.bin", redirect("/final.bin?name=x.bin"))
    origin.script("/final.bin", ScriptedResponse(size=1))
    assert (await daemon.fetch("a", origin.url("/start.bin")))[1]["filename"] == "final.bin"
    origin.script(
        "/final.bin", ScriptedResponse(size=1, headers=[("Content-Disposition", 'attachment; filename="sent.bin"')])
    )
    assert (await daemon.fetch("b", origin.url("/start.bin")))[1]["filename"] == "sent.bin"
    assert (await daemon.fetch("c", origin.url("/start.bin"), filename="mine.bin"))[1]["filename"] == "mine.bin"
    assert set(daemon.files()) == {"a/final.bin", "b/sent.bin", "c/mine.bin"}


REQUESTED_NAMES = {
    "../x": False,
    "..": False,
    ".": False,
    "": False,
    "a/b": False,
    "/etc/passwd": False,
    "a\\b": False,
    "a\0b": False,
    "a\nb": False,
    "ü" * 128: False,
    PART_NAME: False,
    "ü" * 127: True,
    "CON": True,
    ".hidden": True,
    "data.part": True,
    "%2e%2e": True,
    "a b+c&d=e.txt": True,
    "...": True,
}


async def test_a_requested_name_is_used_unchanged_or_refused(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1))
    refused: list[str] = []
    for name, good in REQUESTED_NAMES.items():
        status, answer = await daemon.fetch("d", origin.url("/f"), filename=name)
        if good:
            assert (status, answer["filename"]) == (201, name)
            assert (daemon.root / "d" / name).is_file()
        else:
            assert (status, answer["success"], answer["error"]) == (400, False, "INVALID_PATH"), name
            assert answer["detail"]
            refused.insert(0, answer["download_id"])
    assert [entry["id"] for entry in await daemon.history(status="failed")] == refused
    good_names = {name for name, good in REQUESTED_NAMES.items() if good}
    assert {file.name for file in (daemon.root / "d").rglob("*") if file.is_file()} == good_names


# -- paths outside of the root -----------------------------------------------------------------------------------------

OUTSIDE = [
    "/..",
    "/../x",
    "/a/../../x",
    "/a/..",
    "/.",
    "/a/./b",
    "/%2e%2e/x",
    "/%2E%2E%2Fx",
    "/.%2e/x",
    "/a/%2e%2e/%2e%2e/x",
    "/..%2f..%2fetc",
    "/a%2F..%2F..%2Fx",
    "/%2e",
    "/..%5cx",
    "/a%5c..%5c..%5cx",
    "/a%00b",
    "/a%0ab",
    "/%ff",
    "/" + "a/" * 2000 + "b",
    "/" + "a" * 256,
    "http://localhost/../x",
]

INSIDE = {
    "//etc/passwd": "etc/passwd",
    "/%2Fetc%2Fpasswd": "etc/passwd",
    "/a//b/": "a/b",
    "/%252e%252e/x": "%2e%2e/x",
    "/.../x": ".../x",
    "/..;/x": "..;/x",
    "/a b".replace(" ", "%20"): "a b",
    "/a+b": "a+b",
    "/" + quote("ü"): "ü",
    "/": "",
}


async def ask_raw(daemon: DaemonProcess, target: str) -> tuple[int, dict[str, Any]]:
    """Send a GET with this target, byte for byte."""
    port = int(daemon.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), json.loads(body)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


async def test_no_spelling_of_a_directory_leads_out_of_the_root(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1))
    url = quote(origin.url("/f"), safe="")
    before = tree(daemon.folder.parent)
    refused: list[str] = []
    for path in OUTSIDE:
        status, answer = await ask_raw(daemon, f"{path}?download={url}&wait=40")
        assert (status, answer["success"], answer["error"]) == (400, False, "INVALID_PATH"), path
        assert answer["detail"]
        refused.insert(0, answer["download_id"])
    history = await daemon.history()
    assert [entry["id"] for entry in history] == refused
    assert {(entry["status"], entry["error"]) for entry in history} == {("failed", "INVALID_PATH")}
    assert origin.requests("/f") == []
    assert tree(daemon.folder.parent) == before
    for path, directory in INSIDE.items():
        status, answer = await ask_raw(daemon, f"{path}?download={url}&wait=40")
        assert (status, answer["success"]) == (201, True), path
        assert (daemon.root / directory / answer["filename"]).is_file(), path
    items = [
        {"url": origin.url("/f"), "directory": each} for each in ("..", "a/../..", "/../x", "a\\..\\..", "api", "é")
    ]
    status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    assert [one["error"] for one in body["downloads"]] == ["INVALID_PATH"] * 5 + [None]
    await daemon.wait_until_finished(body["downloads"][-1]["download_id"])
    assert {path.name for path in daemon.folder.iterdir()} == {"files", "state", "log.jsonl", "config.toml"}


async def test_a_link_inside_the_root_is_not_followed(daemon: DaemonProcess, origin: Origin, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"precious")
    (daemon.root / "d").mkdir()
    (daemon.root / "link").symlink_to(outside)
    (daemon.root / "d" / "relative").symlink_to("../../../outside")
    (daemon.root / "d" / "f").symlink_to(outside / "f")
    (daemon.root / "d" / "dangling").symlink_to(outside / "new")
    origin.script("/f", ScriptedResponse(size=SIZE))
    for directory in ("link", "link/deeper", "d/relative", "d/f"):
        status, answer = await daemon.fetch(directory, origin.url("/f"))
        assert (status, answer["error"]) == (400, "INVALID_PATH"), directory
        assert str(outside) not in answer["detail"]
    # A link counts as a taken name; overwriting replaces the link, not its target.
    assert (await daemon.fetch("d", origin.url("/f")))[1]["filename"] == "f (1)"
    assert (await daemon.fetch("d", origin.url("/f"), filename="dangling"))[1]["filename"] == "dangling (1)"
    assert (await daemon.fetch("d", origin.url("/f"), conflict="error"))[1]["error"] == "FILE_EXISTS"
    assert (await daemon.fetch("d", origin.url("/f"), conflict="overwrite"))[0] == 201
    assert not (daemon.root / "d" / "f").is_symlink()
    assert (daemon.root / "d" / "f").read_bytes() == WHOLE
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"f": b"precious"}


async def test_a_link_that_replaces_a_directory_during_a_download_is_not_followed(
    daemon: DaemonProcess, origin: Origin, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    origin.script("/f", ScriptedResponse(size=SIZE, rate=SIZE))
    fetch = asyncio.create_task(daemon.fetch("d", origin.url("/f")))
    await wait_until(daemon.part_files)
    (daemon.root / "d").rename(daemon.root / "moved")
    (daemon.root / "d").symlink_to(outside)
    status, answer = await fetch
    assert (status, answer["success"]) != (201, True)
    assert list(outside.iterdir()) == []
    for part in daemon.part_files():
        part.unlink()


# -- metadata and checksums --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o002, 0o027], ids="{:03o}".format)
async def test_a_file_has_its_time_and_modes_and_may_be_empty(
    restartable: DaemonProcess, origin: Origin, umask: int
) -> None:
    daemon = restartable
    daemon.launcher = ["sh", "-c", f'umask {umask:03o} && exec "$@"', "sh"]
    await daemon.start()
    origin.script("/f", ScriptedResponse(size=SIZE, last_modified=LONG_AGO))
    origin.script("/empty", ScriptedResponse(size=0, last_modified=LONG_AGO))
    origin.script("/empty-chunked", ScriptedResponse(size=0, framing=Framing.CHUNKED))
    origin.script("/future", ScriptedResponse(size=1, last_modified="Fri, 31 Dec 9999 23:59:59 GMT"))
    origin.script("/nonsense", ScriptedResponse(size=1, last_modified="yesterday"))
    for name in ("f", "empty", "empty-chunked", "future", "nonsense"):
        status, answer = await daemon.fetch("a/b", origin.url(f"/{name}"))
        assert (status, answer["message"]) == (201, "Download completed"), answer
    status_of_f = (daemon.root / "a/b/f").stat()
    assert status_of_f.st_mtime == LONG_AGO
    assert status_of_f.st_mode & 0o7777 == 0o666 & ~umask
    assert (daemon.root / "a").stat().st_mode & 0o7777 == 0o777 & ~umask
    assert (daemon.root / "a/b/empty").stat().st_mtime == LONG_AGO
    assert [(daemon.root / "a/b" / name).stat().st_size for name in ("empty", "empty-chunked")] == [0, 0]
    sizes = {entry["filename"]: entry["total_bytes"] for entry in await daemon.history()}
    assert sizes == {"f": SIZE, "empty": 0, "empty-chunked": 0, "future": 1, "nonsense": 1}


async def test_only_a_file_that_matches_its_checksum_is_published(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE))
    for algorithm, name in {"sha-256": "sha256", "sha-512": "sha512", "sha-1": "sha1", "md5": "md5"}.items():
        digest = hashlib.new(name, WHOLE).hexdigest()
        status, answer = await daemon.fetch("good", origin.url("/f"), filename=name, checksum=f"{algorithm}={digest}")
        assert (status, answer["message"]) == (201, "Download completed"), answer
        assert (await daemon.get_download(answer["download_id"]))["checksum"] == f"{algorithm}={digest}"
        status, answer = await daemon.fetch(
            "good", origin.url("/f"), filename=f"{name}-upper", checksum=f"{algorithm}={digest.upper()}"
        )
        assert status == 201, answer
        wrong = hashlib.new(name, WHOLE + b"x").hexdigest()
        requests = len(origin.requests("/f"))
        status, answer = await daemon.fetch("bad", origin.url("/f"), filename=name, checksum=f"{algorithm}={wrong}")
        assert (status, answer["success"], answer["error"]) == (422, False, "CHECKSUM_MISMATCH")
        assert digest in answer["detail"]
        assert len(origin.requests("/f")) == requests + 1
    for nonsense in ("sha-256=abc", "crc32=00000000", "sha-256", "=", "md5=" + "g" * 32):
        status, answer = await daemon.fetch("bad", origin.url("/f"), checksum=nonsense)
        assert (status, answer["error"]) == (400, "INVALID_PARAMETER"), nonsense
    assert len(daemon.files()) == 8
    assert not any(path.startswith("bad") for path in daemon.files())


async def test_an_overwritten_file_survives_a_wrong_checksum(daemon: DaemonProcess, origin: Origin) -> None:
    put(daemon, "d/f")
    origin.script("/f", ScriptedResponse(size=SIZE))
    status, _ = await daemon.fetch("d", origin.url("/f"), conflict="overwrite", checksum="md5=" + "0" * 32)
    assert status == 422
    assert daemon.files() == {"d/f": b"old"}


# -- full and read-only disks ------------------------------------------------------------------------------------------


async def test_a_full_disk_fails_the_download_and_not_the_daemon(tmp_path: Path, disk: Path, origin: Origin) -> None:
    origin.script("/known-length", ScriptedResponse(size=50_000_000))
    origin.script("/unknown-length", ScriptedResponse(size=50_000_000, framing=Framing.CHUNKED))
    origin.script("/small", ScriptedResponse(size=SIZE))
    async with daemon_on_disk(tmp_path, disk, "size=16m", config=make_config(max_retries=0)) as daemon:
        for path in ("/known-length", "/unknown-length", "/known-length", "/unknown-length"):
            status, answer = await daemon.fetch("d", origin.url(path))
            assert (status, answer["success"], answer["error"]) == (507, False, "INSUFFICIENT_STORAGE"), path
            assert answer["detail"]
            await wait_until(lambda: daemon.part_files() == [])
            status, answer = await daemon.fetch("d", origin.url("/small"), conflict="overwrite")
            assert (status, answer["message"]) == (201, "Download completed")
        assert daemon.files() == {"d/small": WHOLE}
        assert len(origin.requests("/unknown-length")) == 2
        statuses = Counter(entry["error"] for entry in await daemon.history())
        assert statuses == {None: 4, "INSUFFICIENT_STORAGE": 4}


async def test_many_downloads_that_fill_the_disk_at_once_all_end_and_none_is_lost(
    tmp_path: Path, disk: Path, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=50_000_000, framing=Framing.CHUNKED))
    origin.script("/small", ScriptedResponse(size=SIZE))
    async with daemon_on_disk(tmp_path, disk, "size=24m", config=make_config(max_retries=0)) as daemon:
        results = await asyncio.gather(*(daemon.fetch("d", origin.url("/f")) for _ in range(12)))
        assert Counter(answer["error"] for _, answer in results) == {"INSUFFICIENT_STORAGE": 12}
        assert await daemon.active() == []
        assert await daemon.has_no_stray_part_file()
        assert (await daemon.fetch("d", origin.url("/small")))[1]["message"] == "Download completed"
        assert len(await daemon.history()) == 13


async def test_a_disk_too_full_for_the_records_is_reported_and_loses_no_download(
    tmp_path: Path, disk: Path, origin: Origin
) -> None:
    release = asyncio.Event()
    origin.script("/held", ScriptedResponse(size=SIZE, body_event=release))
    origin.script("/small", ScriptedResponse(size=SIZE))
    async with daemon_on_disk(tmp_path, disk, "size=16m", config=make_config(max_retries=0)) as daemon:
        held = (await daemon.start_download("d", origin.url("/held")))["download_id"]
        await daemon.wait_for_state(held, "downloading")
        ballast = path_seen_by(daemon, disk) / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        release.set()
        items = [{"url": origin.url("/small"), "directory": "many"} for _ in range(5000)]
        status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert (status, body["success"], body["error"]) == (507, False, "INSUFFICIENT_STORAGE")
        ballast.unlink()
        entry = await daemon.wait_until_finished(held)
        assert (entry["status"], entry["error"]) == ("failed", "INSUFFICIENT_STORAGE")
        assert (await daemon.fetch("d", origin.url("/small")))[1]["message"] == "Download completed"
        # A refused batch leaves no rows.
        assert len(await daemon.history()) == 2
        assert await daemon.active() == []


async def test_min_free_stays_free(tmp_path: Path, disk: Path, origin: Origin) -> None:
    origin.script("/known-length", ScriptedResponse(size=60_000_000))
    for number in range(5):
        origin.script(f"/unknown-length-{number}", ScriptedResponse(size=100_000_000, framing=Framing.CHUNKED))
    origin.script("/small", ScriptedResponse(size=SIZE))
    config = make_config(max_retries=0).replace("min_free = 0", 'min_free = "12 MiB"')
    lowest = 1 << 40
    async with daemon_on_disk(tmp_path, disk, "size=64m", config=config) as daemon:

        async def watch() -> None:
            nonlocal lowest
            while True:
                space = os.statvfs(daemon.root)
                lowest = min(lowest, space.f_bavail * space.f_frsize)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        status, answer = await daemon.fetch("d", origin.url("/known-length"))
        assert (status, answer["error"]) == (507, "INSUFFICIENT_STORAGE")
        assert "min_free" in answer["detail"]
        # All at once without a speed limit: the bytes that each will write are reserved.
        for status, answer in await asyncio.gather(
            *(daemon.fetch("d", origin.url(f"/unknown-length-{number}")) for number in range(5))
        ):
            assert (status, answer["error"]) == (507, "INSUFFICIENT_STORAGE")
            assert "min_free" in answer["detail"]
        watching.cancel()
        assert await daemon.has_no_stray_part_file()
        assert (await daemon.fetch("d", origin.url("/small")))[1]["message"] == "Download completed"
    # The records on this disk, and the rest of a page, may still be written.
    assert lowest > (12 << 20) - 600_000


async def test_a_full_disk_suspends_the_queue_until_space_is_free(tmp_path: Path, disk: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE))
    config = make_config(max_retries=3, max_concurrent=2).replace("min_free = 0", 'min_free = "12 MiB"')
    async with daemon_on_disk(tmp_path, disk, "size=24m", config=config) as daemon:
        ballast = path_seen_by(daemon, disk) / "ballast"
        ballast.write_bytes(bytes(12 << 20))
        status, _ = await daemon.request(
            "POST",
            "/api/v1/downloads",
            json={"downloads": [{"url": origin.url("/f"), "directory": str(number)} for number in range(12)]},
        )
        assert status == 201

        async def held() -> list[str]:
            active = await daemon.active()
            return [entry["id"] for entry in active if entry["reason"] == "the disk is full"]

        async with asyncio.timeout(CONDITION_TIMEOUT):
            while len(waiting := await held()) < 10:
                await asyncio.sleep(0.02)
        # The downloads that met the full disk wait for their next attempts; no other request was sent.
        assert len(origin.requests("/f")) == 2
        ballast.unlink()
        for id in waiting:
            assert (await daemon.wait_until_finished(id))["status"] == "completed"


async def test_a_directory_that_cannot_be_written_fails_only_its_downloads(
    tmp_path: Path, disk: Path, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE))
    daemon = DaemonProcess(
        tmp_path, config=make_config(max_retries=0), launcher=mount_launcher("ro", tmp_path / "files" / "fixed")
    )
    (daemon.root / "fixed").mkdir(parents=True)
    async with daemon:
        for directory in ("fixed", "fixed/deeper"):
            status, answer = await daemon.fetch(directory, origin.url("/f"))
            assert (status, answer["success"], answer["error"]) == (500, False, "STORAGE_ERROR"), directory
            assert directory in answer["detail"]
            assert str(tmp_path) not in answer["detail"]
            [entry, *_] = await daemon.history()
            assert (entry["id"], entry["error"]) == (answer["download_id"], "STORAGE_ERROR")
        assert (await daemon.fetch("d", origin.url("/f")))[1]["message"] == "Download completed"
        assert "Traceback" not in daemon.log.read_text()


async def test_a_root_that_cannot_be_written_is_reported_at_the_start(tmp_path: Path, disk: Path) -> None:
    daemon = DaemonProcess(tmp_path, launcher=mount_launcher("ro", disk))
    daemon.root = disk
    with pytest.raises(AssertionError, match="the daemon ended with 1") as caught:
        await daemon.start()
    assert f"the storage root {disk} cannot be used" in str(caught.value)
    assert "Traceback" not in str(caught.value)
