"""Import files made to exhaust memory or time are refused or read within limits, and delay no other request."""

import asyncio
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

import msgspec
import pytest
from support.daemon_process import DaemonProcess
from support.waiting import wait_until

MIB = 1 << 20
MAX_RESPONSE_SECONDS = 0.3
"""Seconds that other requests may wait for a response."""

CHANNELS = b'[{"id": "C1", "name": "c"}]'


class Scale(msgspec.Struct, frozen=True):
    """Size of the files, with bounds of their numbers of entries that they exceed as the whole files do those of the
    daemon, and the memory that such a file may take."""

    unit: int
    """Bytes of a MiB of a file."""
    constants: Mapping[str, int]
    max_memory: int


SMALL = Scale(
    MIB // 10,
    {
        "downloadd.imports.json_array.MAX_ELEMENTS": 200_000,
        "downloadd.imports.validation.MAX_ENTITIES": 50_000,
        "downloadd.imports.validation.MAX_SKIPPED": 25_000,
        "downloadd.imports.slack._MAX_CONVERSATIONS": 20_000,
    },
    60 * MIB,
)
WHOLE = Scale(MIB, {}, 300 * MIB)


def stored(members: Mapping[str, bytes]) -> bytes:
    """Return a zip without compression, so that its ratio is not suspicious."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return file.getvalue()


def array(element: bytes, size: int) -> bytes:
    """Return a JSON array of about this size, with one element repeated."""
    return b"[" + (element + b",") * (size // (len(element) + 1)) + element + b"]"


def day(content: bytes) -> bytes:
    return stored({"users.json": b"[]", "channels.json": CHANNELS, "c/2020-01-01.json": content})


def directory(count: int) -> bytes:
    """Return the central directory of an archive with so many entries, which do not exist."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
    entries = b"".join(entry + number.to_bytes(4, "little") for number in range(count))
    return (
        entries
        + struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entries), 0)
        + struct.pack("<4sLQL", b"PK\6\7", 0, len(entries), 1)
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )


def metalink(inner: bytes) -> bytes:
    return b'<metalink xmlns="urn:ietf:params:xml:ns:metalink">' + inner


def numbered(form: str, size: int) -> bytes:
    """Return about `size` bytes of a form, repeated with a number in each."""
    return "".join(form.replace("#", f"{number:x}") for number in range(size // (len(form) + 5))).encode()


def tarred(members: Mapping[str, bytes]) -> bytes:
    """Return a tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as target:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return file.getvalue()


VERSION = b'{"type":"version"}\n'

IMPORT_BOMBS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "list of numbers": ("slack", lambda m: stored({"users.json": array(b"1", 24 * m)})),
    "list of objects": ("slack", lambda m: stored({"users.json": array(b"{}", 24 * m)})),
    "list of users": ("slack", lambda m: stored({"users.json": b"[" + numbered('{"id":"#"},', 25 * m) + b"{}]"})),
    "list of escapes": ("slack", lambda m: stored({"users.json": b'["' + b"\\n" * (12 * m) + b'"]'})),
    "list of brackets": ("slack", lambda m: stored({"users.json": b"[" * MIB})),
    "one long name": (
        "slack",
        lambda m: stored({"users.json": b'[{"id":"1","name":"' + b"a" * (60 * MIB) + "\U0001f600".encode() + b'"}]'}),
    ),
    "conversations": (
        "slack",
        lambda m: stored({"users.json": b"[]", "dms.json": b"[" + numbered('{"id":"#"},', 8 * m) + b"{}]"}),
    ),
    "day of objects": ("slack", lambda m: day(array(b"{}", 24 * m))),
    "day of files": ("slack", lambda m: day(b'[{"files":' + array(b"{}", 8 * m) + b"}]")),
    "day of many files": ("slack", lambda m: day(array(b'{"files":' + array(b"{}", m) + b"}", 24 * m))),
    "day of escapes": ("slack", lambda m: day(b'[{"text":"\\ud83d' + b"\\n" * (12 * MIB) + b'"}]')),
    "day of long links": (
        "slack",
        lambda m: day(array(b'{"file":{"id":"1","url_private_download":"%s"}}' % (b"x" * MIB), 24 * MIB)),
    ),
    "directory of an archive": ("slack", lambda m: directory(1_000_000)),
    "long directory": ("slack", lambda m: directory(300_001)),
    "header of a table": ("csv", lambda m: b"a," * (30 * m)),
    "row without an end": ("csv", lambda m: b"url\n" + b'"\n",' * (15 * m)),
    "table of short rows": ("csv", lambda m: b"url\n" + b"a\n" * (4 * m)),
    "table in one character": (
        "csv",
        lambda m: b"url\nhttp://a/\n" + b"a," * 1000 + "\U0001f600".encode() * (15 * m),
    ),
    "table of users": ("csv", lambda m: stored({"users.csv": numbered("#,b\n", 16 * m)})),
    "table of channels": ("csv", lambda m: stored({"channels.csv": numbered("#\n", 16 * m)})),
    "list of nonsense": ("urls", lambda m: b"ab\n" * (4 * m)),
    "list in one line": ("urls", lambda m: b"http://a/\t" * (6 * m)),
    "list of mirrors": ("urls", lambda m: (b"http://a/" + b"\thttp://b/" * 40_000 + "\U0001f600\n".encode()) * 100),
    "list of options": ("urls", lambda m: b"http://a/\n" + numbered(" #=1\n", 20 * m)),
    "elements in each other": ("metalink", lambda m: metalink(b"<a>" * (8 * m))),
    "long attribute": ("metalink", lambda m: metalink(b'<file name="' + b"x" * (48 * m))),
    "long comment": ("metalink", lambda m: metalink(b"<!--" + b"x" * (48 * m))),
    "many tags": ("metalink", lambda m: metalink(numbered("<a#/>", 30 * m))),
    "many attributes": ("metalink", lambda m: metalink(numbered('<a a#=""/>', 30 * m))),
    "many prefixes": ("metalink", lambda m: metalink(numbered('<a xmlns:a#="a"/>', 30 * m))),
    "many hashes": (
        "metalink",
        lambda m: metalink(b'<file name="a">' + numbered('<hash type="#">a</hash>', 8 * m)),
    ),
    "many URLs": ("metalink", lambda m: metalink(b'<file name="a">' + b"<url>http://a/</url>" * 500_000)),
    "long URLs": (
        "metalink",
        lambda m: metalink(b'<file name="a">' + b"<url>http://a/%s</url>" % (b"x" * 15_000) * 2_000),
    ),
    "line of attachments": (
        "mattermost",
        lambda m: VERSION + b'{"type":"post","post":{"attachments":' + array(b'{"path":"a"}', 15 * m) + b"}}",
    ),
    "short lines": ("mattermost", lambda m: VERSION + b"{}\n" * (8 * m)),
    "long line": ("mattermost", lambda m: VERSION + b'{"a":"' + b"x" * (60 * MIB)),
    "realm of users": (
        "zulip",
        lambda m: tarred({"realm.json": b'{"zerver_userprofile":[' + numbered('{"id":1#},', 25 * m) + b"{}]}"}),
    ),
    "attachments of numbers": (
        "zulip",
        lambda m: tarred(
            {
                "realm.json": b"{}",
                "attachment.json": b'{"zerver_attachment":'
                + array(b'{"path_id":"a","messages":%b}' % array(b"7", m), 24 * m)
                + b"}",
            }
        ),
    ),
    "messages": (
        "zulip",
        lambda m: tarred({"realm.json": b"{}", "messages-1.json": b'{"zerver_message":' + array(b"{}", 24 * m) + b"}"}),
    ),
}


EXHAUSTIVE = frozenset(
    {
        *("list of objects", "list of escapes", "day of objects", "day of files", "day of many files"),
        *("long directory", "row without an end", "table of short rows", "table of channels"),
        *("list in one line", "list of mirrors"),
        *(
            "elements in each other",
            "long comment",
            "many tags",
            "many prefixes",
            "many hashes",
            "many URLs",
            "long URLs",
        ),
    }
)
"""Files that resemble one of the others."""


CASES = [
    *(
        pytest.param(name, SMALL, marks=pytest.mark.exhaustive if name in EXHAUSTIVE else (), id=name)
        for name in IMPORT_BOMBS
    ),
    *(pytest.param(name, WHOLE, marks=pytest.mark.exhaustive, id=f"whole {name}") for name in IMPORT_BOMBS),
]


@pytest.mark.parametrize(("name", "scale"), CASES)
async def test_no_import_file_uses_much_memory_or_delays_other_requests(
    tmp_path: Path, name: str, scale: Scale
) -> None:
    key, make = IMPORT_BOMBS[name]
    bomb = tmp_path / "bomb"
    bomb.write_bytes(make(scale.unit))
    async with DaemonProcess(tmp_path, constants=scale.constants) as daemon:
        before = daemon.peak_bytes()
        # A bomb delays the daemon each time; a busy machine does not.
        unresponsive_seconds = MAX_RESPONSE_SECONDS
        for _ in range(3):
            if unresponsive_seconds >= MAX_RESPONSE_SECONDS:
                unresponsive_seconds = await slowest_response_during(daemon, upload_and_read(daemon, key, bomb))
        assert unresponsive_seconds < MAX_RESPONSE_SECONDS
        assert daemon.peak_bytes() - before < scale.max_memory
        assert not [line for line in daemon.log_lines() if line["event"] in {"import_broke", "request_failed"}]


async def test_a_list_of_very_many_users_is_returned_and_delays_no_other_request(tmp_path: Path) -> None:
    count = 60_000
    form = (
        '{"id":"U%08d","name":"somebody.%d","profile":{"email":"somebody-%d@mail.example.com",'
        '"image_512":"https://avatars.example.com/2020-01-01/%d_512.png"}}'
    )
    listed = ",".join(form % (n, n, n, n) for n in range(count))
    export = tmp_path / "export"
    export.write_bytes(stored({"users.json": f"[{listed}]".encode()}))
    async with DaemonProcess(tmp_path) as daemon:
        before = daemon.peak_bytes()
        unresponsive_seconds = await slowest_response_during(daemon, upload_and_read(daemon, "slack", export))
        _, data = await daemon.request("GET", "/api/v1/getImportFileData")
        assert len(data["users"]) == count
        assert unresponsive_seconds < MAX_RESPONSE_SECONDS
        assert daemon.peak_bytes() - before < WHOLE.max_memory


async def upload_and_read(daemon: DaemonProcess, key: str, path: Path) -> None:
    """Upload a file and wait until it is read or refused."""

    async def is_read() -> bool:
        status, answer = await daemon.request("GET", "/api/v1/getImportFileData")
        return status == 400 or not answer.get("waiting")

    with path.open("rb") as file:
        status, answer = await daemon.request("POST", f"/api/v1/imports?importerKey={key}&fileName=x", data=file)
    assert status in {201, 400}, answer
    if status == 201:
        await wait_until(is_read, 50, every=0.1)


async def slowest_response_during(daemon: DaemonProcess, work: Coroutine[None, None, None]) -> float:
    """Return the longest response time in seconds of other requests during the work."""
    longest = 0.0
    task = asyncio.get_running_loop().create_task(work)
    while not task.done():
        watch = daemon.stopwatch()
        await daemon.request("GET", "/api/v1/health")
        longest = max(longest, watch.seconds)
        await asyncio.sleep(0.01)
    await task
    return longest
