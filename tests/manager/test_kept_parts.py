"""Part files and secrets of ended downloads, with the real parts from the manager down."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from support.clocks import NOW, ManualClock
from support.downloads import with_fields
from support.file_tree import contents_below, files_below, size_of
from support.manager_stack import ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse, error_response
from support.stored_downloads import added, present, sample_download
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Download, Mirror
from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode, InsufficientStorageError, InvalidStateError
from downloadd.manager.kept_parts import KeptParts
from downloadd.manager.protocol import DownloadChange
from downloadd.metrics import KeptUsage
from downloadd.records.sqlite import SqliteRecords
from downloadd.request_fields import Credentials
from downloadd.states import State
from downloadd.storage.disk_space import DiskSpace
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.root import StorageRoot
from downloadd.transfer.resume import OVERLAP_BYTES

pytestmark = pytest.mark.system

SIZE = 300_000
KEPT = 200_000
WHOLE = expected_bytes(0, 0, SIZE)
FILE = ScriptedResponse(size=SIZE, etag='"v"')
CUT = ScriptedResponse(size=SIZE, etag='"v"', cut_after=KEPT)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/old", [CUT, error_response(403)])
        origin.script("/new", FILE)
        yield origin


async def start(stack: ManagerStack, url: str, **options: object) -> str:
    request = DownloadRequest(url=url, directory="d", **options)  # type: ignore[arg-type]
    return (await stack.manager.start([request], user="ann")).downloads[0].id


async def fails(stack: ManagerStack, url: str, **options: object) -> Download:
    ended = await stack.manager.wait(await start(stack, url, **options), CONDITION_TIMEOUT)
    assert ended.state is State.FAILED
    return ended


def ranges(origin: Origin, path: str) -> list[str | None]:
    return [request.field("Range") for request in origin.requests(path)]


# -- retry -------------------------------------------------------------------------------------------------------------


async def patch_then_retry(stack: ManagerStack, id: str, url: str) -> None:
    assert (await stack.manager.amend(id, DownloadChange(url=url))).download.state is State.FAILED
    await stack.manager.retry(id)


async def retry_then_patch_then_retry(stack: ManagerStack, id: str, url: str) -> None:
    await stack.manager.retry(id)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.FAILED
    await patch_then_retry(stack, id, url)


async def retry_with_url(stack: ManagerStack, id: str, url: str) -> None:
    await stack.manager.retry(id, url)


@pytest.mark.parametrize("renew", [patch_then_retry, retry_then_patch_then_retry, retry_with_url])
async def test_a_failed_download_continues_under_a_new_url_without_fetching_again_what_is_there(
    tmp_path: Path, origin: Origin, renew: Callable[[ManagerStack, str, str], Awaitable[None]]
) -> None:
    async with open_stack(tmp_path) as stack:
        failed = await fails(stack, origin.url("/old"))
        assert (failed.result.error, failed.kept_bytes) == (ErrorCode.REMOTE_ERROR, KEPT)
        assert await stack.manager.kept_parts() == KeptUsage(parts=1, size=KEPT)
        assert list(stack.files().values()) == [WHOLE[:KEPT]]
        await renew(stack, failed.id, origin.url("/new"))
        ended = await stack.manager.wait(failed.id, CONDITION_TIMEOUT)
        assert (ended.state, ended.kept_bytes) == (State.COMPLETED, 0)
        assert list(stack.files().values()) == [WHOLE]
        # Only the bytes that are compared were received again.
        assert origin.bytes_sent("/new") < SIZE - KEPT + 70_000
        assert ranges(origin, "/new") == [f"bytes={KEPT - OVERLAP_BYTES}-"]
        assert await stack.manager.kept_parts() == KeptUsage()


async def test_a_failed_download_continues_after_a_restart_of_the_daemon(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path) as stack:
        failed = await fails(stack, origin.url("/old"))
    origin.script("/old", FILE)
    async with open_stack(tmp_path) as stack:
        await stack.manager.retry(failed.id)
        assert (await stack.manager.wait(failed.id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert ranges(origin, "/old")[-1] == f"bytes={KEPT}-"
        assert list(stack.files().values()) == [WHOLE]


async def test_after_a_timeout_a_retry_continues_and_has_the_whole_time_again(tmp_path: Path, origin: Origin) -> None:
    origin.script("/slow", [ScriptedResponse(size=SIZE, etag='"v"', stall_after=KEPT), FILE])
    async with open_stack(tmp_path) as stack:
        failed = await fails(stack, origin.url("/slow"), timeout=1)
        assert (failed.result.error, failed.kept_bytes) == (ErrorCode.DOWNLOAD_TIMEOUT, KEPT)
        again = (await stack.manager.retry(failed.id)).download
        assert again.progress.time_spent == 0
        assert (await stack.manager.wait(failed.id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert ranges(origin, "/slow") == [None, f"bytes={KEPT}-"]


async def test_segments_are_kept_with_their_gaps(tmp_path: Path, origin: Origin) -> None:
    size = 4 << 20
    stalled = ScriptedResponse(size=size, etag='"v"', stall_after=300_000)
    origin.script("/segments", stalled)
    async with open_stack(tmp_path) as stack:
        failed = await fails(stack, origin.url("/segments"), timeout=1, segments=2)
        assert failed.progress.received_ranges is not None
        assert failed.kept_bytes >= 300_000
        origin.script("/segments", ScriptedResponse(size=size, etag='"v"'))
        before = origin.bytes_sent("/segments")
        await stack.manager.retry(failed.id)
        assert (await stack.manager.wait(failed.id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert list(stack.files().values()) == [expected_bytes(0, 0, size)]
        assert origin.bytes_sent("/segments") - before <= size - failed.kept_bytes + (64 << 10)


async def test_another_file_at_the_new_url_is_not_continued(tmp_path: Path, origin: Origin) -> None:
    other = ScriptedResponse(size=SIZE, seed=7, etag='"v"')
    origin.script("/new", other)
    async with open_stack(tmp_path) as stack:
        failed = await fails(stack, origin.url("/old"))
        await stack.manager.retry(failed.id, origin.url("/new"))
        assert (await stack.manager.wait(failed.id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert list(stack.files().values()) == [expected_bytes(7, 0, SIZE)]


@pytest.mark.parametrize(
    ("path", "options", "keep_parts"),
    [
        pytest.param("/new", {"checksum": f"sha-256={'0' * 64}"}, 60, id="wrong-checksum"),
        pytest.param("/old", {}, 0, id="keep-parts-0"),
        pytest.param("/gone", {}, 60, id="nothing-received"),
    ],
)
async def test_bytes_without_use_are_removed_at_the_failure(
    tmp_path: Path, origin: Origin, path: str, options: dict[str, object], keep_parts: int
) -> None:
    origin.script("/gone", error_response(404))
    async with open_stack(tmp_path, keep_parts=keep_parts) as stack:
        failed = await fails(stack, origin.url(path), **options)
        assert (failed.kept_bytes, failed.progress.received, failed.progress.part_name) == (0, 0, None)
        # They are removed once the row is written, at which the end is published.
        await wait_until(lambda: stack.files() == {})


# -- removal -----------------------------------------------------------------------------------------------------------


class Store:
    """Records and a directory with kept part files."""

    def __init__(self, records: SqliteRecords, destination: LocalDestination, root: Path) -> None:
        self.records = records
        self.destination = destination
        self.root = root
        self.clock = ManualClock()

    def kept_parts(self, keep_seconds: float = 100) -> KeptParts:
        return KeptParts(
            records=self.records,
            kept=self.records.kept_parts,
            destination=self.destination,
            clock=self.clock,
            keep_seconds=keep_seconds,
        )

    async def add(self, *, age: float, size: int = 10, directory: str = "d") -> Download:
        """Add a download that failed `age` seconds ago, with its part file."""
        row = with_fields(sample_download(state=State.FAILED, directory=directory), end_time=int(NOW - age))
        part = await self.destination.open_part(
            directory=directory, filename=parse_filename("f"), download_id=row.id, epoch=1, existing=None
        )
        await part.write([b"x" * size], 0)
        await part.close()
        (row,) = await added(self.records, with_fields(row, part_name=part.name, received=size, epoch=1))
        return row

    async def left(self) -> set[str]:
        """Return the ids of the downloads with a part; rows and files agree."""
        ids = {part.id for part in await self.records.kept_parts.page()}
        assert {path.name.split(".")[2] for path in self.root.rglob(".*.part")} == ids
        return ids


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with (
        SqliteRecords(tmp_path / "state", ManualClock()) as records,
        LocalDestination(tmp_path / "files", min_free=0, fsync=False) as destination,
    ):
        yield Store(records, destination, tmp_path / "files")


async def test_part_files_are_removed_when_they_expire(store: Store) -> None:
    expired, young = await store.add(age=100), await store.add(age=99)
    await store.kept_parts().remove_expired()
    assert await store.left() == {young.id}
    row = await present(store.records, expired.id)
    assert (row.state, row.kept_bytes, row.progress.received) == (State.FAILED, 0, 0)
    assert row.result.ended_seq == expired.result.ended_seq


async def test_many_part_files_expire_in_pages(store: Store) -> None:
    rows = [await store.add(age=200 - number) for number in range(5)]
    with patch("downloadd.manager.kept_parts.PAGE_ROWS", 2), patch("downloadd.records.kept_parts.PAGE_ROWS", 2):
        await store.kept_parts(keep_seconds=197).remove_expired()
    assert await store.left() == {rows[4].id}


async def test_the_oldest_part_files_are_removed_for_space(store: Store) -> None:
    _, _, third = [await store.add(age=9 - number) for number in range(3)]
    kept = store.kept_parts()
    assert await kept.reclaim("", 11)
    assert await store.left() == {third.id}


async def test_nothing_is_removed_if_all_part_files_are_too_small(store: Store) -> None:
    rows = {(await store.add(age=5)).id, (await store.add(age=4)).id}
    assert not await store.kept_parts().reclaim("", 21)
    assert await store.left() == rows


async def test_space_for_a_quota_is_made_below_its_directory_only(store: Store) -> None:
    outside = await store.add(age=9, directory="other")
    await store.add(age=8, directory="team/a")
    newest = await store.add(age=7, directory="team")
    assert await store.kept_parts().reclaim("team", 10)
    assert await store.left() == {outside.id, newest.id}


async def test_callers_at_the_same_time_remove_once(store: Store) -> None:
    rows = [await store.add(age=9 - number) for number in range(3)]
    kept = store.kept_parts()
    assert await asyncio.gather(*(kept.reclaim("", 10) for _ in range(3))) == [True, True, True]
    assert await store.left() == {row.id for row in rows[1:]}


async def test_a_part_file_of_a_download_that_was_retried_meanwhile_stays(store: Store) -> None:
    row = await store.add(age=500)
    kept = store.kept_parts()
    page = await store.records.kept_parts.page()
    await store.records.amend(row.id, lambda row: with_fields(row, state=State.QUEUED))
    with patch.object(store.records.kept_parts, "page", return_value=page):
        assert not await kept.reclaim("", 1)
        await kept.remove_expired()
    assert (await present(store.records, row.id)).progress.part_name == row.progress.part_name
    assert len(list(store.root.rglob(".*.part"))) == 1


async def test_records_without_space_do_not_keep_a_part_file_from_being_removed(store: Store) -> None:
    row = await store.add(age=500)
    amend = store.records.amend
    refusals = [InsufficientStorageError("the disk is full")]

    async def refuse_once(*arguments: object) -> object:
        if refusals:
            raise refusals.pop()
        assert not list(store.root.rglob(".*.part")), "the file makes the space for the row"
        return await amend(*arguments)  # type: ignore[arg-type]

    with patch.object(store.records, "amend", refuse_once):
        assert await store.kept_parts().reclaim("", 1)
    assert (await present(store.records, row.id)).kept_bytes == 0


# -- pressure ----------------------------------------------------------------------------------------------------------


async def test_a_kept_part_file_makes_way_for_a_download_that_min_free_would_refuse(
    tmp_path: Path, origin: Origin
) -> None:
    capacity, min_free = 600_000, 200_000

    def measure(root: StorageRoot) -> DiskSpace:
        used = sum(map(size_of, files_below(tmp_path / "files")))
        return DiskSpace(free=capacity - used, capacity=capacity)

    with patch.object(StorageRoot, "measure_space", measure):
        async with open_stack(tmp_path, min_free=min_free) as stack:
            failed = await fails(stack, origin.url("/old"))
            assert failed.kept_bytes == KEPT
            ended = await stack.manager.wait(await start(stack, origin.url("/new")), CONDITION_TIMEOUT)
            assert ended.state is State.COMPLETED
            assert (await stack.manager.get(failed.id)).download.kept_bytes == 0
            assert list(stack.files().values()) == [WHOLE]


@pytest.mark.parametrize("length", ["known", "unknown"])
async def test_a_kept_part_file_makes_way_for_a_download_that_a_quota_would_refuse(
    tmp_path: Path, origin: Origin, length: str
) -> None:
    if length == "unknown":
        origin.script("/new", ScriptedResponse(size=SIZE, etag='"v"', framing=Framing.CHUNKED))
    settings = DirectorySettings(quotas=(Quota(directory="d", limit=SIZE + KEPT - 1),))
    async with open_stack(tmp_path, directory_settings=lambda directory: settings) as stack:
        failed = await fails(stack, origin.url("/old"))
        ended = await stack.manager.wait(await start(stack, origin.url("/new")), CONDITION_TIMEOUT)
        assert ended.state is State.COMPLETED
        assert (await stack.manager.get(failed.id)).download.kept_bytes == 0
        assert list(stack.files().values()) == [WHOLE]


async def test_a_file_that_exceeds_the_quota_alone_removes_no_kept_part_file(tmp_path: Path, origin: Origin) -> None:
    settings = DirectorySettings(quotas=(Quota(directory="d", limit=KEPT + 1),))
    origin.script("/half", [ScriptedResponse(size=1000, etag='"v"', cut_after=500), error_response(403)])
    async with open_stack(tmp_path, directory_settings=lambda directory: settings) as stack:
        failed = await fails(stack, origin.url("/half"))
        refused = await fails(stack, origin.url("/new"))
        assert refused.result.error is ErrorCode.INSUFFICIENT_STORAGE
        assert (await stack.manager.get(failed.id)).download.kept_bytes == 500


# -- secrets -----------------------------------------------------------------------------------------------------------


async def test_a_cancelled_download_with_secrets_is_retried_with_a_new_url_only(tmp_path: Path, origin: Origin) -> None:
    origin.script("/slow", ScriptedResponse(size=SIZE, etag='"v"', stall_after=KEPT))
    async with open_stack(tmp_path) as stack:
        id = await start(stack, origin.url("/slow?token=s3cret"))
        await origin.wait_requested("/slow")
        assert (await stack.manager.cancel(id)).request.url == origin.url("/slow?token=***")
        with pytest.raises(InvalidStateError, match="new url"):
            await stack.manager.retry(id)
        await stack.manager.retry(id, origin.url("/new"))
        assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_secrets_of_finished_downloads_are_in_no_file_of_the_state_directory(
    tmp_path: Path, origin: Origin
) -> None:
    origin.script("/a", FILE)
    origin.script("/b", error_response(404))
    async with open_stack(tmp_path, keep_parts=0) as stack:
        urls = [
            origin.url("/a?token=Completed1").replace("://", "://me:UserInfo3@"),
            origin.url("/b?token=Failed2"),
        ]
        fields = {
            "headers": {"X-Key": "Header5"},
            "cookies": {"sid": "Cookie6"},
            "referer": "http://a/?Referer7",
            "auth": Credentials(user="u", password="Password8"),
            "user_agent": "Agent9",
        }
        ids = [await start(stack, url, mirrors=(f"{url}&sig=Mirror4",), **fields) for url in urls]
        for id in ids:
            await stack.manager.wait(id, CONDITION_TIMEOUT)
        stored = read_all(tmp_path / "state")
        assert all(secret in stored for secret in (b"Failed2", b"Header5")), "the test reads what is stored"
        await stack.kept_parts.remove_expired()
    left = read_all(tmp_path / "state")
    assert b"/b?token=***" in left
    secrets = (
        *(b"Completed1", b"Failed2", b"UserInfo3", b"Mirror4"),
        *(b"Header5", b"Cookie6", b"Referer7", b"Password8", b"Agent9"),
    )
    assert [secret for secret in secrets if secret in left] == []


async def test_secrets_that_earlier_versions_kept_are_removed_at_the_start(store: Store) -> None:
    secret = {"url": "https://u:p@a/x", "redacted_url": "https://a/x", "end_time": int(NOW) - 5}
    mirrors = (Mirror(url="https://b/?sig=1"), Mirror(url="https://c/"))
    completed, young, old = await added(
        store.records,
        with_fields(sample_download(state=State.COMPLETED), mirrors=mirrors, **secret),
        with_fields(sample_download(state=State.FAILED), **secret),
        with_fields(sample_download(state=State.FAILED), mirrors=mirrors, **{**secret, "end_time": int(NOW) - 500}),
    )
    with patch("downloadd.manager.kept_parts.PAGE_ROWS", 1), patch("downloadd.records.kept_parts.PAGE_ROWS", 1):
        watching = asyncio.create_task(store.kept_parts().watch())

        async def are_removed() -> bool:
            return all([(await present(store.records, row.id)).result.secrets_removed for row in (completed, old)])

        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not await are_removed():
                await asyncio.sleep(0.005)
        watching.cancel()
        await asyncio.wait((watching,))
    assert [mirror.url for mirror in (await present(store.records, old.id)).request.mirrors] == ["https://c/"]
    assert (await present(store.records, completed.id)).request.mirrors == ()
    assert (await present(store.records, young.id)).request.url == "https://u:p@a/x"


async def test_secrets_expire_while_the_daemon_runs(store: Store) -> None:
    (row,) = await added(
        store.records,
        with_fields(
            sample_download("https://u:p@a/x", state=State.FAILED), redacted_url="https://a/x", end_time=int(NOW)
        ),
    )
    kept = store.kept_parts(keep_seconds=100)
    await kept.remove_stale_secrets()
    for seconds, url in ((99, "https://u:p@a/x"), (100, "https://a/x")):
        store.clock.now = NOW + seconds
        await kept.remove_expired()
        assert (await present(store.records, row.id)).request.url == url


def read_all(folder: Path) -> bytes:
    return b"".join(contents_below(folder).values())
