"""No path leads out of the storage root, and no link, FIFO or device in it is opened or followed.

Tested elsewhere: single names in `storage/test_names.py`, links in `storage/test_root.py`, entries replaced at the last
moment in `storage/test_part_file.py` and `storage/test_publisher.py`, invalid paths and names in requests in
`end_to_end/test_storage.py`.
"""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.download import Conflict
from downloadd.storage.conflicts import resolve_conflict
from downloadd.storage.names import parse_filename, parse_part_name, sanitize_name

ID = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
SIZE = 50_000


class OutsideFiles:
    """Files outside of a root, which must stay unchanged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sentinel = folder / "sentinel"
        self.sentinel.mkdir()
        (self.sentinel / "file").write_bytes(b"sentinel")
        (self.sentinel / "directory").mkdir()
        (folder / "daemon").mkdir()
        self._before = self._snapshot()

    def assert_unchanged(self) -> None:
        assert self._snapshot() == self._before

    def _snapshot(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for top, directories, files in os.walk(self.folder):
            if Path(top) == self.folder:
                directories.remove("daemon")
            for path in (Path(top, name) for name in directories + files):
                status = path.lstat()
                found[str(path)] = (status.st_mode, status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ino)
        assert (self.sentinel / "file").read_bytes() == b"sentinel"
        return found


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin(fallback=lambda request: ScriptedResponse(size=SIZE)) as origin:
        yield origin


@pytest.fixture
def outside_files(tmp_path: Path) -> OutsideFiles:
    return OutsideFiles(tmp_path)


@pytest.fixture
async def daemon(tmp_path: Path, outside_files: OutsideFiles) -> AsyncIterator[DaemonProcess]:
    folder = tmp_path / "daemon"
    async with DaemonProcess(
        folder, config=DEFAULT_CONFIG.replace("min_free = 0", "min_free = 0\nfsync = false")
    ) as one:
        yield one
        assert "Traceback" not in one.log.read_text()
        outside_files.assert_unchanged()
        assert {path.name for path in folder.iterdir()} == {"files", "state", "log.jsonl", "config.toml"}


async def request_raw(daemon: DaemonProcess, target: bytes) -> tuple[int, dict[str, Any]]:
    """Send a GET with exactly this target; return status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(daemon.url.rpartition(":")[2]))
    writer.write(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" % target)
    writer.write(b"Authorization: Bearer %s\r\n\r\n" % TOKEN.encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), json.loads(body)


# -- spellings ---------------------------------------------------------------------------------------------------------

UPWARDS = [
    b"..", b"%2e%2e", b"%2E.", b".%2e", b"%252e%252e", b"%25252e%25252e", b"%c0%ae%c0%ae", b"%e0%80%ae%e0%80%ae",
    b"%f0%80%80%ae%f0%80%80%ae", b"%uff0e%uff0e", b"%ef%bc%8e%ef%bc%8e", b"%e2%80%a5", b"..%00", b"..%0d", b"..%20",
    b"..;", b"..%e2%80%8b", b"...", b"..%ff", b"%2e%2e%3b", b"..%7f", b".%00.", b"..%c0",
]  # fmt: skip
SLASHES = [
    b"/", b"%2f", b"%2F", b"//", b"/./", b"%5c", b"\\", b"%c0%af", b"%e0%80%af", b"%252f", b"%255c", b"%e2%88%95",
    b"%ef%bc%8f", b"%c1%9c", b"/%2e/", b"%00/",
]  # fmt: skip
TARGETS = [
    target
    for up, slash in itertools.product(UPWARDS, SLASHES)
    for target in (b"/%s%sx" % (up, slash), b"/a%s%s%s%s%setc" % (slash, up, slash, up, slash), b"/a%s%s" % (slash, up))
]


async def test_no_spelling_of_a_directory_creates_an_entry_outside_the_root(
    daemon: DaemonProcess, origin: Origin
) -> None:
    assert len(TARGETS) > 1000
    query = b"?download=" + quote(origin.url("/f"), safe="").encode()
    taken: list[str] = []
    places = asyncio.Semaphore(16)

    async def attack(target: bytes) -> None:
        async with places:
            status, body = await request_raw(daemon, target + query)
        assert (status, body["error"]) in {(201, None), (400, "INVALID_PATH")}, (target, status, body)
        if status == 201:
            assert ".." not in body["path"].split("/")
            taken.append(body["download_id"])

    await asyncio.gather(*map(attack, TARGETS))
    # Doubly encoded dots and dots of other scripts are ordinary names.
    assert 100 < len(taken) < len(TARGETS) - 500
    await wait_until(lambda: all_ended(daemon))
    root = daemon.root.resolve()
    for path in daemon.root.rglob("*"):
        assert path.resolve().is_relative_to(root)
        assert not path.is_symlink()


async def all_ended(daemon: DaemonProcess) -> bool:
    return not await daemon.active()


BAD_NAMES = [
    "", ".", "..", "/", "\\", "a/b", "a\\b", "../x", "..\\x", "/etc/passwd", "C:\\x", "a\0", "\0", "a\n", "\r", "\x7f",
    "\x1b[31m", "\u0085", "a" * 256, "\u00fc" * 128, "\U0001f600" * 64, f".x.{ID}.1.part", f".f.{ID}.0.part",
    f".\u00fc.{ID}.9223372036854775807.part", f".x.{ID}.1.Part",
]  # fmt: skip
GOOD_NAMES = [
    "CON", "NUL", "aux.txt", "COM1", "trailing.", "trailing ", " leading", ".hidden", "...", "a:b", "a*b?", "-rf", "~",
    "$(id)", "`id`", ";x", "|x", "%2e%2e", "%00", "..%2f", "File", "file", "FILE", "\u00e9", "e\u0301", "\u212a",
    "a" * 255, "\u00fc" * 127, "\U0001f600" * 63, "api", "x.part", f"x.{ID}.1.part", "\u202egpj",
]  # fmt: skip


async def test_a_requested_name_is_used_unchanged_or_refused(daemon: DaemonProcess, origin: Origin) -> None:
    items = [{"url": origin.url("/f"), "directory": "d", "filename": name} for name in BAD_NAMES + GOOD_NAMES]
    status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    assert status == 201
    for name, result in zip(BAD_NAMES, body["downloads"], strict=False):
        assert result["error"] == "INVALID_PATH", name
    for result in body["downloads"][len(BAD_NAMES) :]:
        assert (await daemon.wait_until_finished(result["download_id"]))["status"] == "completed"
    # On a file system that ignores case or normalizes, the later one of two gets a number.
    assert sorted(os.listdir(daemon.root / "d")) == sorted(GOOD_NAMES)


DISPOSITIONS = [
    'filename="%s"', "filename=%s", "filename*=UTF-8''%s", "filename=\"x\"; filename*=utf-8'en'%s", 'filename*0="%s"',
    'FILENAME="%s"; filename=y', "filename*=ISO-8859-1''%s",
]  # fmt: skip
ORIGIN_NAMES = [
    "../../sentinel/file", "..\\..\\sentinel\\file", "/etc/passwd", "%2e%2e%2f%2e%2e%2fx", "..%252f..%252fx", "....//x",
    "%c0%ae%c0%ae/x", "a%00.txt", ".bashrc", "..", ".", "%2e%2e", "CON", "nul.tar.gz", "x%0d%0aSet-Cookie: y", "file:///x",
    f".x.{ID}.1.part", "a" * 300 + ".txt", "%F0%9F%98%80" * 100, "trailing...", "%E2%80%AEgpj.exe", "COM%C2%B9", "a:b",
    "\\\\server\\share\\x", "~/x", "-rf", "%ff%fe", "\u00e9", "\udcff\udcfe",
]  # fmt: skip


async def test_a_name_of_an_origin_becomes_one_safe_name(daemon: DaemonProcess, origin: Origin) -> None:
    paths = []
    for number, (field, name) in enumerate(itertools.product(DISPOSITIONS, ORIGIN_NAMES)):
        paths.append(f"/{number}")
        fields = [("Content-Disposition", "attachment; " + field.replace("%s", name.replace("\r", "")))]
        origin.script(paths[-1], ScriptedResponse(size=1, headers=fields))
    assert len(paths) > 200
    items = [{"url": origin.url(path), "directory": f"d{path}"} for path in paths]
    _, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    for path, result in zip(paths, body["downloads"], strict=True):
        entry = await daemon.wait_until_finished(result["download_id"])
        assert entry["status"] == "completed", (path, entry)
        [name] = os.listdir(daemon.root / f"d{path}")
        # Safe on every system: sanitizing it again changes nothing.
        assert sanitize_name(name) == name == parse_filename(name)


async def test_no_origin_chooses_which_file_is_overwritten(daemon: DaemonProcess, origin: Origin) -> None:
    named = ScriptedResponse(size=SIZE, headers=[("Content-Disposition", "attachment; filename=sentinel")])
    origin.script("/said", named)
    origin.script("/redirected", ScriptedResponse(status=302, headers=[("Location", "/sentinel")]))
    (daemon.root / "d").mkdir()
    sentinel = daemon.root / "d" / "sentinel"
    sentinel.write_bytes(b"sentinel")
    for path in ("/said", "/redirected"):
        status, answer = await daemon.fetch("d", origin.url(path), conflict="overwrite")
        assert (status, answer["filename"][:10]) == (201, "sentinel (")
    assert sentinel.read_bytes() == b"sentinel"
    # A user who names the file, by the filename or by the URL, may overwrite it.
    for path, parameters in (("/sentinel", {}), ("/said", {"filename": "sentinel"})):
        sentinel.write_bytes(b"sentinel")
        status, answer = await daemon.fetch("d", origin.url(path), conflict="overwrite", **parameters)
        assert (status, answer["filename"]) == (201, "sentinel")
        assert sentinel.read_bytes() == expected_bytes(0, 0, SIZE)


async def test_long_deep_and_invalid_paths_are_accepted_or_refused(daemon: DaemonProcess, origin: Origin) -> None:
    query = b"?wait=20&download=" + quote(origin.url("/f"), safe="").encode()
    good = [
        b"/" + b"a" * 255,
        b"/" + b"%c3%bc" * 127,
        b"/" + b"d/" * 400,
        b"/" + b"/".join([b"b" * 255] * 11),
        b"/a//",
    ]
    bad = [
        b"/" + b"a" * 256, b"/" + b"%c3%bc" * 128, b"/" + b"d/" * 1600, b"/" + b"/".join([b"b" * 255] * 13), b"/%ff",
        b"/a/%ed%a0%80", b"/%c3", b"/%f5%80%80%80", b"/a%00", b"/.", b"/a/.", b"/api%2fx", b"/%61pi", b"//api",
        b"/x/%7f",
        b"/" + f".x.{ID}.1.part".encode(), b"/" + f".x.{ID}.1.part/x".encode(), b"/" + b"c" * 4096, b"/%c2%85",
    ]  # fmt: skip
    for target in good:
        status, body = await request_raw(daemon, target + query)
        assert (status, body["error"]) == (201, None), (target[:40], body)
    for target in bad:
        status, body = await request_raw(daemon, target + query)
        assert (status, body["success"]) in {(400, False), (404, False)}, (target[:40], body)
        assert body["error"] in {"INVALID_PATH", "NOT_FOUND"}
    for tail in (b"&filename=%ff", b"&filename=a%00", b"&filename=%c0%af", b"&filename=%ed%b3%bf", b"&%ff=1"):
        status, body = await request_raw(daemon, b"/d" + query + tail)
        assert (status, body["error"]) in {(400, "INVALID_PATH"), (400, "INVALID_PARAMETER")}, tail


# -- entries in the path -----------------------------------------------------------------------------------------------


def bind_socket(path: Path) -> None:
    # The path of a socket may have at most 107 bytes.
    fd = os.open(path.parent, os.O_RDONLY)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(f"/proc/self/fd/{fd}/{path.name}")
    os.close(fd)


def obstacles(sentinel: Path) -> dict[str, Callable[[Path], None]]:
    """Return functions that make an entry at a path, by kind."""
    return {
        "link to a file": lambda path: path.symlink_to(sentinel / "file"),
        "link to a directory": lambda path: path.symlink_to(sentinel / "directory"),
        "dangling link": lambda path: path.symlink_to(sentinel / "new"),
        "link to itself": lambda path: path.symlink_to(path.name),
        "link to a device": lambda path: path.symlink_to("/dev/zero"),
        "link to a process": lambda path: path.symlink_to("/proc/self/cwd"),
        "FIFO": os.mkfifo,
        "socket": bind_socket,
        "directory": Path.mkdir,
        "read-only file": lambda path: path.touch(0o400),
    }


async def test_an_entry_at_the_final_name_stays_or_is_replaced_itself(
    daemon: DaemonProcess, origin: Origin, outside_files: OutsideFiles
) -> None:
    for (number, (kind, make)), conflict in itertools.product(
        enumerate(obstacles(outside_files.sentinel).items()), ("rename", "skip", "error", "overwrite")
    ):
        place = daemon.root / f"d{number}-{conflict}"
        place.mkdir()
        make(place / "f")
        before = (place / "f").lstat()
        _, answer = await daemon.fetch(place.name, origin.url("/f"), conflict=conflict)
        kept = (place / "f").lstat()
        if conflict == "overwrite" and not stat.S_ISDIR(before.st_mode):
            assert answer["error"] is None, kind
            assert stat.S_ISREG(kept.st_mode), kind
            assert (place / "f").read_bytes() == expected_bytes(0, 0, SIZE)
        else:
            assert (kept.st_ino, kept.st_mode, kept.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
            expected = {"rename": None, "skip": None, "error": "FILE_EXISTS", "overwrite": "INVALID_PATH"}[conflict]
            assert answer["error"] == expected, (kind, conflict)
        names = {"f", "f (1)"} if conflict == "rename" else {"f"}
        # A failed download keeps its part file.
        assert {name for name in os.listdir(place) if not name.endswith(".part")} == names, (kind, conflict)
        assert await daemon.has_no_stray_part_file()
        outside_files.assert_unchanged()


async def test_an_entry_in_the_path_that_is_not_a_directory_is_not_followed(
    daemon: DaemonProcess, origin: Origin, outside_files: OutsideFiles
) -> None:
    for number, (kind, make) in enumerate(obstacles(outside_files.sentinel).items()):
        make(daemon.root / f"d{number}")
        if kind == "directory":
            continue
        for below in ("", "/below", "/below/deeper"):
            status, answer = await daemon.fetch(f"d{number}{below}", origin.url("/f"))
            assert (status, answer["error"]) == (400, "INVALID_PATH"), kind
            assert str(outside_files.folder) not in answer["detail"]
    outside_files.assert_unchanged()


@pytest.mark.parametrize("replaced", ["part", "directory", "parent"])
async def test_entries_replaced_during_a_download_are_not_followed(
    daemon: DaemonProcess, origin: Origin, outside_files: OutsideFiles, replaced: str
) -> None:
    kinds = obstacles(outside_files.sentinel)
    ids = []
    for number in range(len(kinds)):
        origin.script(f"/{number}", ScriptedResponse(size=SIZE, rate=SIZE))
        started = await daemon.start_download(f"p{number}/d", origin.url(f"/{number}"), filename="f")
        ids.append(started["download_id"])
    await wait_until(lambda: len(daemon.part_files()) == len(kinds))
    for part, (kind, make) in zip(sorted(daemon.part_files()), kinds.items(), strict=True):
        victim = {"part": part, "directory": part.parent, "parent": part.parent.parent}[replaced]
        victim.rename(daemon.root / f"away {kind}")
        make(victim)
    for id, kind in zip(ids, kinds, strict=True):
        entry = await daemon.wait_until_finished(id)
        if kind == "directory" and replaced != "part":
            # The file may be published in the new directory after another attempt.
            assert (entry["status"], entry["error"]) == ("completed", None), entry
        else:
            assert (entry["status"], entry["error"]) in {("failed", "INVALID_PATH"), ("failed", "STORAGE_ERROR")}, entry
    outside_files.assert_unchanged()
    published = [path for path in daemon.root.rglob("*") if path.name == "f"]
    assert [path.read_bytes() for path in published] == [expected_bytes(0, 0, SIZE)] * (replaced != "part")
    # Entries that others have moved away stay.
    assert len(list(daemon.root.glob("away *"))) == len(kinds)


async def test_another_entry_at_the_name_of_a_kept_part_is_not_adopted(
    daemon: DaemonProcess, origin: Origin, outside_files: OutsideFiles
) -> None:
    kinds = obstacles(outside_files.sentinel)
    ids = []
    for number in range(len(kinds)):
        origin.script(f"/{number}", ScriptedResponse(size=SIZE, etag='"v"', stall_after=SIZE // 2))
        started = await daemon.start_download(f"d{number}", origin.url(f"/{number}"), filename="f")
        ids.append(started["download_id"])
    await wait_until(lambda: len(daemon.part_files()) == len(kinds))
    for number, (id, make) in enumerate(zip(ids, kinds.values(), strict=True)):
        await daemon.control(id, "pause")
        [part] = (daemon.root / f"d{number}").glob(".*.part")
        part.unlink()
        make(part)
        origin.script(f"/{number}", ScriptedResponse(size=SIZE, etag='"v"'))
        await daemon.control(id, "resume")
    for number, (id, kind) in enumerate(zip(ids, kinds, strict=True)):
        entry = await daemon.wait_until_finished(id)
        assert (entry["status"], entry["error"]) == ("completed", None), (kind, entry)
        file = daemon.root / f"d{number}" / "f"
        assert stat.S_ISREG(file.lstat().st_mode)
        assert file.read_bytes() == expected_bytes(0, 0, SIZE), kind
    outside_files.assert_unchanged()


# -- file systems that fold names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "there"),
    [("file.txt", "FILE.TXT"), ("File", "file"), ("stra\u00dfe", "STRASSE"), ("\u212a", "k"), ("x.TAR.gz", "X.tar.GZ")],
)
def test_on_a_file_system_that_ignores_case_the_taken_name_is_respected(wanted: str, there: str) -> None:
    # A lookup of the name on the file system decides, not a listing.
    def is_taken(name: str) -> bool:
        return name.casefold() == there.casefold()

    name = parse_filename(wanted)
    for conflict, expected in ((Conflict.SKIP, None), (Conflict.OVERWRITE, wanted)):
        assert resolve_conflict(name, conflict, path=wanted, is_taken=is_taken) == expected
    assert not is_taken(resolve_conflict(name, Conflict.RENAME, path=wanted, is_taken=is_taken) or there)


@pytest.mark.parametrize("name", ["e\u0301", "A\u030a", "\u1100\u1161", "\u212b", "\ufb01", "n\u0303.txt"])
def test_names_of_origins_are_in_one_normal_form(name: str) -> None:
    assert sanitize_name(name) == sanitize_name(sanitize_name(name))
    assert parse_part_name(sanitize_name(f".{name}.{ID}.1.part")) is None
