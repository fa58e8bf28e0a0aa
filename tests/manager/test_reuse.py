"""Copies of files of earlier downloads, with real records, a real directory, and an origin."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Conflict, Download, ResumedBy
from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode
from downloadd.states import State
from downloadd.storage import present_file
from downloadd.storage.published_files import has_identity

SIZE = 200_000
CONTENT = expected_bytes(0, 0, SIZE)
CHECKSUM = f"sha-256={hashlib.sha256(CONTENT).hexdigest()}"
FIRST = ScriptedResponse(size=SIZE, etag='"v"', last_modified=784_111_777)
UNCHANGED = replace(error_response(304), etag='"v"')


class Downloads:
    """Downloads of one path of an origin, one after the other."""

    def __init__(self, stack: ManagerStack, origin: Origin) -> None:
        self.stack = stack
        self.origin = origin

    async def start(self, **fields: Any) -> Download:
        """Download the path, and return the row after its end."""
        user = fields.pop("user", "ann")
        request = DownloadRequest(**{"url": self.origin.url("/a"), "directory": "d", **fields})
        started = await self.stack.manager.start([request], user=user)
        return await self.stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)

    async def again(self, *responses: ScriptedResponse, **fields: Any) -> Download:
        """Download the path to another directory."""
        self.origin.script("/a", list(responses))
        return await self.start(**{"directory": "e", **fields})

    def conditions(self) -> list[str | None]:
        """Return the If-None-Match of each request but the first."""
        return [request.field("If-None-Match") for request in self.origin.requests("/a")[1:]]


@pytest.fixture
async def downloads(tmp_path: Path, origin: Origin) -> AsyncIterator[Downloads]:
    origin.script("/a", FIRST)
    async with open_stack(tmp_path, reuse=True) as stack:
        found = Downloads(stack, origin)
        assert (await found.start()).state is State.COMPLETED
        yield found


def facts(row: Download) -> tuple[State, ErrorCode | None, ResumedBy | None]:
    return row.state, row.result.error, row.progress.resumed_by


REUSED = (State.COMPLETED, None, ResumedBy.REUSE)
FETCHED = (State.COMPLETED, None, None)


async def test_a_file_that_the_origin_has_still_is_copied(downloads: Downloads) -> None:
    row = await downloads.again(UNCHANGED)
    assert facts(row) == REUSED
    assert downloads.conditions() == ['"v"']
    assert downloads.origin.bytes_sent("/a") == SIZE
    files = downloads.stack.files()
    assert files == {"d/a": CONTENT, "e/a": CONTENT}
    # It is a file of its own, with the time of the origin.
    first, second = (downloads.stack.root / path for path in sorted(files))
    assert first.stat().st_ino != second.stat().st_ino
    assert second.stat().st_mtime == 784_111_777
    assert (row.progress.received, row.progress.total, row.progress.validator) == (SIZE, SIZE, '"v"')
    # The copy can be copied too.
    first.unlink()
    assert facts(await downloads.again(UNCHANGED, directory="f", filename="b")) == REUSED
    assert downloads.stack.files()["f/b"] == CONTENT


async def test_an_origin_that_ignores_conditions_sends_a_head_only(downloads: Downloads) -> None:
    held = replace(FIRST, stall_after=0)
    assert facts(await downloads.again(held)) == REUSED
    assert downloads.origin.bytes_sent("/a") == SIZE


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(replace(FIRST, seed=1, etag='"w"'), id="another version"),
        pytest.param(replace(FIRST, size=SIZE + 1), id="another length under the same tag"),
        pytest.param(replace(FIRST, etag='W/"v"'), id="a weak tag"),
        pytest.param(replace(FIRST, framing=Framing.CHUNKED), id="an unknown length"),
    ],
)
async def test_another_version_is_received(downloads: Downloads, response: ScriptedResponse) -> None:
    assert facts(await downloads.again(response)) == FETCHED
    size = response.size
    assert downloads.stack.files()["e/a"] == expected_bytes(response.seed, 0, size)
    assert downloads.origin.bytes_sent("/a") == SIZE + size


@pytest.mark.parametrize(
    "unchanged",
    [
        pytest.param(replace(UNCHANGED, etag='"w"'), id="another tag"),
        pytest.param(replace(UNCHANGED, etag='W/"v"'), id="a weak tag"),
        pytest.param(replace(UNCHANGED, headers=(("Content-Length", str(SIZE + 1)),)), id="another length"),
    ],
)
async def test_a_304_that_contradicts_is_asked_again(downloads: Downloads, unchanged: ScriptedResponse) -> None:
    row = await downloads.again(unchanged, replace(FIRST, seed=1, etag='"w"'))
    assert facts(row) == FETCHED
    assert downloads.conditions() == ['"v"', None]


async def test_a_name_that_a_304_does_not_state_is_asked_for(downloads: Downloads) -> None:
    named = replace(FIRST, headers=(("Content-Disposition", 'attachment; filename="report"'),))
    downloads.origin.script(
        "/a", [replace(named, etag='"x"'), replace(UNCHANGED, etag='"x"'), replace(named, etag='"x"')]
    )
    await downloads.start(directory="n")
    assert facts(await downloads.start(directory="e")) == REUSED
    assert sorted(downloads.stack.files()) == ["d/a", "e/report", "n/report"]
    assert downloads.conditions() == ['"v"', '"x"', None]


async def test_a_file_that_was_edited_or_removed_is_received(downloads: Downloads) -> None:
    file = downloads.stack.root / "d" / "a"
    with file.open("r+b") as writer:
        writer.write(b"!")
    assert facts(await downloads.again(FIRST)) == FETCHED
    file.unlink()
    (downloads.stack.root / "e" / "a").unlink()
    assert facts(await downloads.again(FIRST)) == FETCHED
    assert downloads.conditions() == [None, None]
    assert downloads.stack.files()["e/a"] == CONTENT


async def test_the_origin_decides_who_may_have_it(downloads: Downloads) -> None:
    row = await downloads.again(error_response(403), user="eve")
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.REMOTE_ERROR)
    assert sorted(downloads.stack.files()) == ["d/a"]


async def test_what_was_requested_with_credentials_is_copied_for_its_user_only(downloads: Downloads) -> None:
    secret = {"headers": {"Authorization": "Bearer x"}, "directory": "s"}
    assert facts(await downloads.again(UNCHANGED, **secret)) == REUSED
    assert facts(await downloads.again(FIRST, **secret, user="eve")) == FETCHED
    assert downloads.conditions() == ['"v"', None]


async def test_a_copy_has_the_requested_checksum_or_is_received(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert facts(await downloads.again(UNCHANGED, checksum=CHECKSUM)) == REUSED
    # The disk has changed bytes of the file without its times.
    monkeypatch.setattr(present_file, "is_as_published", has_identity)
    for path in ("d/a", "e/a"):
        file = downloads.stack.root / path
        status = file.stat()
        with file.open("r+b") as writer:
            writer.write(b"!")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    row = await downloads.again(UNCHANGED, FIRST, directory="f", checksum=CHECKSUM)
    assert facts(row) == FETCHED
    assert downloads.stack.files()["f/a"] == CONTENT
    # So has one whose checksum the history has.
    assert facts(await downloads.again(UNCHANGED, FIRST, directory="g")) == REUSED


async def test_the_copy_counts_in_quotas_and_obeys_the_largest_size(tmp_path: Path, origin: Origin) -> None:
    origin.script("/a", FIRST)
    quota = DirectorySettings(quotas=(Quota(directory="e", limit=SIZE - 1),))
    async with open_stack(
        tmp_path, reuse=True, directory_settings=lambda path: quota if path == "e" else DirectorySettings()
    ) as stack:
        downloads = Downloads(stack, origin)
        await downloads.start()
        row = await downloads.again(UNCHANGED)
        assert (row.state, row.result.error) == (State.FAILED, ErrorCode.INSUFFICIENT_STORAGE)
        assert sorted(stack.files()) == ["d/a"]
    async with open_stack(tmp_path, replace(CONFIG, max_size=SIZE - 1), reuse=True) as stack:
        row = await Downloads(stack, origin).again(FIRST, directory="f")
        assert (row.state, row.result.error) == (State.FAILED, ErrorCode.FILE_TOO_LARGE)


async def test_a_taken_name_is_a_conflict_as_before(downloads: Downloads) -> None:
    row = await downloads.again(UNCHANGED, directory="d")
    assert facts(row) == REUSED
    assert sorted(downloads.stack.files()) == ["d/a", "d/a (1)"]
    row = await downloads.again(UNCHANGED, directory="d", conflict=Conflict.OVERWRITE, filename="a")
    assert facts(row) == REUSED
    # Of the present files, one has a number in its name, and the other a requested name.
    row = await downloads.again(UNCHANGED, FIRST, directory="d", skip_same=True)
    assert (row.state, row.result.error) == (State.SKIPPED, ErrorCode.ALREADY_THERE)
    assert downloads.stack.files() == {"d/a": CONTENT, "d/a (1)": CONTENT}


async def test_without_the_setting_nothing_is_copied(tmp_path: Path, origin: Origin) -> None:
    origin.script("/a", FIRST)
    async with open_stack(tmp_path) as stack:
        downloads = Downloads(stack, origin)
        await downloads.start()
        assert facts(await downloads.again(FIRST)) == FETCHED
        assert downloads.conditions() == [None]


async def test_a_later_file_in_the_place_of_the_first_is_not_copied(downloads: Downloads) -> None:
    path = downloads.stack.root / "d" / "a"
    status = path.stat()
    # On ext4, a file that is made has the inode of the one that was removed before.
    path.write_bytes(expected_bytes(1, 0, SIZE))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ended = await downloads.again(FIRST)
    assert (ended.state, ended.progress.resumed_by, downloads.conditions()) == (State.COMPLETED, None, [None])
    assert (downloads.stack.root / "e" / "a").read_bytes() == CONTENT
