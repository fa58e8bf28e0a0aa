"""Downloads of files that are there already, with real records, a real directory, and an origin."""

import asyncio
import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.manager_stack import ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Conflict, Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode
from downloadd.records.protocol import HistoryFilter
from downloadd.request_fields import Method
from downloadd.states import State
from downloadd.storage import published_files, small_files

SIZE = 200_000
STRONG = ScriptedResponse(size=SIZE, etag='"v"', last_modified=784_111_777)
CHECKSUM = f"sha-256={hashlib.sha256(expected_bytes(0, 0, SIZE)).hexdigest()}"
ALREADY_THERE = (State.SKIPPED, ErrorCode.ALREADY_THERE, ["d/a"])
RENAMED = (State.COMPLETED, None, ["d/a", "d/a (1)"])


class Downloads:
    """Downloads of one path of an origin, one after the other."""

    def __init__(self, stack: ManagerStack, origin: Origin) -> None:
        self.stack = stack
        self.origin = origin

    async def start(self, path: str = "/a", **fields: Any) -> Download:
        """Download a path, and return the row after its end."""
        request = DownloadRequest(**{"url": self.origin.url(path), "directory": "d", **fields})
        started = await self.stack.manager.start([request], user="ann")
        return await self.stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)

    async def again(self, **fields: Any) -> tuple[State, ErrorCode | None, list[str]]:
        """Download it with `skip_same`; return state and error, and the files afterwards."""
        ended = await self.start(**{"skip_same": True, **fields})
        return ended.state, ended.result.error, sorted(self.stack.files())


@pytest.fixture
async def downloads(tmp_path: Path, origin: Origin) -> AsyncIterator[Downloads]:
    origin.script("/a", STRONG)
    async with open_stack(tmp_path) as stack:
        yield Downloads(stack, origin)


async def test_a_file_with_the_strong_entity_tag_of_the_origin_is_not_received_again(downloads: Downloads) -> None:
    assert (await downloads.start()).state is State.COMPLETED
    gate = asyncio.Event()
    downloads.origin.script("/a", ScriptedResponse(size=SIZE, etag='"v"', body_event=gate))
    ended = await downloads.start(skip_same=True)
    assert (ended.state, ended.result.error) == (State.SKIPPED, ErrorCode.ALREADY_THERE)
    assert ended.result.detail == "d/a is there already, with the same content"
    assert (sorted(downloads.stack.files()), ended.progress.received) == (["d/a"], 0)
    assert downloads.origin.bytes_sent("/a") == SIZE
    for conflict in Conflict:
        assert await downloads.again(conflict=conflict, filename="a") == ALREADY_THERE


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(ScriptedResponse(size=SIZE, seed=1, etag='"w"'), id="another version"),
        pytest.param(ScriptedResponse(size=SIZE + 1, etag='"v"'), id="another length under the same tag"),
        pytest.param(ScriptedResponse(size=SIZE, seed=1, etag='W/"v"', last_modified=784_111_777), id="a weak tag"),
        pytest.param(ScriptedResponse(size=SIZE, seed=1, last_modified=784_111_777), id="a date"),
        pytest.param(ScriptedResponse(size=SIZE, seed=1, etag='"v"', framing=Framing.CHUNKED), id="an unknown length"),
        pytest.param(
            ScriptedResponse(size=SIZE, seed=1, etag='"v"', headers=(("Content-Encoding", "gzip"),)),
            id="another coding",
        ),
    ],
)
async def test_what_is_not_proven_to_be_the_same_is_a_conflict(
    downloads: Downloads, response: ScriptedResponse
) -> None:
    await downloads.start()
    downloads.origin.script("/a", response)
    assert await downloads.again() == RENAMED


@pytest.fixture
def one_inode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all files have one inode, as on a disk that gives a new file the number of the removed one."""
    for module in (published_files, small_files):
        monkeypatch.setattr(module, "format_identity", lambda _, size, modified_ns: f"1-{size}-{modified_ns}")


def edit(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"!")


def replace_file(path: Path) -> None:
    content, status = path.read_bytes(), path.stat()
    path.rename(path.with_name("moved"))
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.with_name("moved").unlink()


async def test_a_file_that_was_edited_is_not_recognised(downloads: Downloads) -> None:
    await downloads.start()
    edit(downloads.stack.root / "d" / "a")
    assert await downloads.again() == RENAMED


async def test_other_bytes_with_inode_size_and_time_of_the_file_are_not_recognised(downloads: Downloads) -> None:
    await downloads.start()
    path = downloads.stack.root / "d" / "a"
    status = path.stat()
    path.write_bytes(expected_bytes(1, 0, SIZE))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_ino == status.st_ino
    assert await downloads.again(conflict=Conflict.OVERWRITE) == (State.COMPLETED, None, ["d/a"])
    assert path.read_bytes() == expected_bytes(0, 0, SIZE)


async def test_a_later_file_of_another_url_is_not_that_of_the_first(downloads: Downloads) -> None:
    # On ext4, a file that is made has the inode of the one that was removed before.
    path = downloads.stack.root / "d" / "a"
    downloads.origin.script("/b", replace(STRONG, seed=1, etag='"w"'))
    await downloads.start(conflict=Conflict.OVERWRITE)
    inode = path.stat().st_ino
    for _ in range(10):
        path.unlink()
        await downloads.start("/b", filename="a")
        if path.stat().st_ino == inode:
            break
    assert path.read_bytes() == expected_bytes(1, 0, SIZE)
    assert await downloads.again(conflict=Conflict.OVERWRITE) == (State.COMPLETED, None, ["d/a"])
    assert path.read_bytes() == expected_bytes(0, 0, SIZE)


async def test_a_later_version_is_not_that_of_a_file_that_was_replaced(downloads: Downloads) -> None:
    path = downloads.stack.root / "d" / "a"
    await downloads.start(conflict=Conflict.OVERWRITE)
    inode = path.stat().st_ino
    for seed in range(1, 10):
        downloads.origin.script("/a", replace(STRONG, seed=seed, etag=f'"v{seed}"'))
        await downloads.start(conflict=Conflict.OVERWRITE)
        if path.stat().st_ino == inode:
            break
    downloads.origin.script("/a", STRONG)
    assert await downloads.again(conflict=Conflict.OVERWRITE) == (State.COMPLETED, None, ["d/a"])
    assert path.read_bytes() == expected_bytes(0, 0, SIZE)


@pytest.mark.parametrize("size", [SIZE, 1000])
async def test_a_file_whose_status_was_changed_is_received_and_compared(
    tmp_path: Path, origin: Origin, size: int
) -> None:
    whole = replace(STRONG, size=size)
    origin.script("/a", whole)
    async with open_stack(tmp_path, has_commit_process=True) as stack:
        downloads, path = Downloads(stack, origin), stack.root / "d" / "a"
        await downloads.start()
        # Nothing is received while nothing was changed, also of a file that was published together with others.
        for times, response in ((1, replace(STRONG, size=size, body_event=asyncio.Event())), (2, whole)):
            origin.script("/a", response)
            assert await downloads.again() == ALREADY_THERE
            assert origin.bytes_sent("/a") == times * size
            path.chmod(0o600)


async def test_a_post_is_sent_once_and_never_compared_before_its_end(downloads: Downloads) -> None:
    await downloads.start()
    digest = hashlib.sha256(expected_bytes(0, 0, SIZE)).digest()
    field = ("Repr-Digest", f"sha-256=:{b64encode(digest).decode()}:")
    downloads.origin.script("/a", replace(STRONG, headers=(field,)))
    for checksum in (None, CHECKSUM):
        assert await downloads.again(method=Method.POST, body="x=1", checksum=checksum, filename="a") == ALREADY_THERE
    assert [request.method for request in downloads.origin.requests("/a")] == ["GET", "POST", "POST"]
    assert downloads.origin.bytes_sent("/a") == 3 * SIZE


@pytest.mark.usefixtures("one_inode")
async def test_a_file_of_another_url_is_not_recognised_though_it_has_inode_size_and_time_of_the_first(
    downloads: Downloads,
) -> None:
    downloads.origin.script("/b", ScriptedResponse(size=SIZE, seed=1, etag='"v"', last_modified=784_111_777))
    await downloads.start()
    (downloads.stack.root / "d" / "a").unlink()
    await downloads.start("/b", filename="a")
    assert await downloads.again(conflict=Conflict.OVERWRITE) == (State.COMPLETED, None, ["d/a"])
    assert downloads.stack.files()["d/a"] == expected_bytes(0, 0, SIZE)


@pytest.mark.usefixtures("one_inode")
async def test_a_former_version_is_not_recognised_in_a_later_file(downloads: Downloads) -> None:
    await downloads.start()
    downloads.origin.script("/a", ScriptedResponse(size=SIZE, seed=1, etag='"w"', last_modified=784_111_777))
    await downloads.start(conflict=Conflict.OVERWRITE)
    downloads.origin.script("/a", STRONG)
    assert await downloads.again(conflict=Conflict.OVERWRITE) == (State.COMPLETED, None, ["d/a"])
    assert downloads.stack.files()["d/a"] == expected_bytes(0, 0, SIZE)


async def test_a_file_in_a_content_coding_is_compared_as_it_was_sent(downloads: Downloads) -> None:
    # Length and digest are those of the coded bytes, which were saved.
    digest = hashlib.sha256(expected_bytes(0, 0, SIZE)).digest()
    coded = replace(STRONG, headers=(("Content-Encoding", "gzip"),))
    downloads.origin.script("/a", coded)
    await downloads.start(filename="a")
    fields = (*coded.headers, ("Repr-Digest", f"sha-256=:{b64encode(digest).decode()}:"))
    for response in (coded, replace(coded, etag=None, headers=fields)):
        downloads.origin.script("/a", replace(response, body_event=asyncio.Event()))
        assert await downloads.again(filename="a") == ALREADY_THERE
    assert downloads.origin.bytes_sent("/a") == SIZE


async def test_what_is_not_recognised_is_received_and_compared(downloads: Downloads) -> None:
    await downloads.start()
    replace_file(downloads.stack.root / "d" / "a")
    assert await downloads.again() == ALREADY_THERE
    assert downloads.origin.bytes_sent("/a") == 2 * SIZE
    assert (downloads.stack.root / "d").is_dir()


async def test_equal_weak_tags_and_a_forgotten_download_prove_nothing(downloads: Downloads) -> None:
    downloads.origin.script("/a", ScriptedResponse(size=SIZE, etag='W/"v"'))
    assert (await downloads.start()).result.resource is None
    assert await downloads.again() == ALREADY_THERE
    assert downloads.origin.bytes_sent("/a") == 2 * SIZE
    downloads.origin.script("/b", STRONG)
    assert (await downloads.start("/b")).result.resource is not None
    await downloads.stack.records.remove_ended(await downloads.stack.records.ended_rows(HistoryFilter()))
    assert (await downloads.start("/b", skip_same=True)).result.error is ErrorCode.ALREADY_THERE
    assert downloads.origin.bytes_sent("/b") == 2 * SIZE


async def test_a_file_without_a_download_has_the_digest_of_the_origin(downloads: Downloads) -> None:
    file = downloads.stack.root / "d" / "a"
    file.parent.mkdir()
    file.write_bytes(expected_bytes(0, 0, SIZE))
    digest = hashlib.sha256(expected_bytes(0, 0, SIZE)).digest()
    field = ("Repr-Digest", f"sha-256=:{b64encode(digest).decode()}:")
    downloads.origin.script("/a", ScriptedResponse(size=SIZE, headers=(field,)))
    assert await downloads.again() == ALREADY_THERE
    # After another one was found, the origin is asked again for the content.
    edit(file)
    assert await downloads.again() == RENAMED
    assert len(downloads.origin.requests("/a")) == 3


async def test_the_requested_checksum_alone_decides(downloads: Downloads) -> None:
    await downloads.start()
    # Without a request to the origin if the name is known.
    assert await downloads.again(filename="a", checksum=CHECKSUM) == ALREADY_THERE
    assert len(downloads.origin.requests("/a")) == 1
    assert await downloads.again(checksum=CHECKSUM) == ALREADY_THERE
    # It contradicts the entity tag.
    edit(downloads.stack.root / "d" / "a")
    assert await downloads.again(filename="a", checksum=CHECKSUM) == RENAMED


@pytest.mark.parametrize(
    ("conflict", "expected"),
    [
        (Conflict.SKIP, (State.SKIPPED, None, ["d/a"])),
        (Conflict.ERROR, (State.FAILED, ErrorCode.FILE_EXISTS, ["d/a"])),
        (Conflict.OVERWRITE, (State.COMPLETED, None, ["d/a"])),
    ],
)
async def test_the_policy_holds_for_another_content(
    downloads: Downloads, conflict: Conflict, expected: tuple[State, ErrorCode | None, list[str]]
) -> None:
    await downloads.start()
    downloads.origin.script("/a", ScriptedResponse(size=SIZE, seed=1, etag='"w"'))
    assert await downloads.again(conflict=conflict, filename="a") == expected


async def test_of_two_downloads_at_once_one_finds_the_file_of_the_other(downloads: Downloads) -> None:
    gate = asyncio.Event()
    downloads.origin.script("/a", ScriptedResponse(size=SIZE, body_event=gate))
    both = [asyncio.ensure_future(downloads.start(skip_same=True)) for _ in range(2)]
    await downloads.origin.wait_requested("/a", 2)
    gate.set()
    ended = await asyncio.gather(*both)
    assert sorted((row.state, row.result.error) for row in ended) == [
        (State.COMPLETED, None),
        (State.SKIPPED, ErrorCode.ALREADY_THERE),
    ]
    assert downloads.stack.files() == {"d/a": expected_bytes(0, 0, SIZE)}
