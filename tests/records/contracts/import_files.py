"""Contract of `ImportFileRecords`."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace
from support.downloads import with_fields
from support.fake_imports import ANY_STATE, make_operation, make_run
from support.stored_downloads import sample_download
from support.stores import OpenStore

from downloadd.errors import ErrorCode, StorageError
from downloadd.import_operation import (
    PENDING_AVATARS,
    PENDING_FILES,
    Channel,
    Driver,
    FileCounts,
    FileLink,
    FileStatus,
    PendingKind,
    PendingRequest,
    Selection,
)
from downloadd.records.import_protocol import GivenUp, ImportFencedError, ImportFileRecords
from downloadd.records.protocol import HistoryFilter
from downloadd.records.store import Store
from downloadd.request_fields import RequestFields
from downloadd.states import State

FILES = 4


REQUEST = PendingRequest(kind=PENDING_FILES)


RETRY = PendingRequest(kind=PENDING_FILES, retry=True)


def driver(operation: str) -> Driver:
    """Return the driver of an operation that nothing has taken over."""
    return Driver(operation, 0)


async def add_pending_files(records: Store) -> None:
    """Add an import whose files are pending."""
    imports = records.imports
    await imports.operations.create(make_operation(id="i", user="ann", started_at=5))
    links = [FileLink(file_id=f"F{n}", url="http://h/", channel_id="C1") for n in range(FILES)]
    await imports.contents.add(driver("i"), [Channel(channel_id="C1", name="general"), *links])
    await imports.contents.select(driver("i"), Selection(users=None, channels=None))


async def start(records: Store, count: int = FILES) -> list[str]:
    """Reserve all files for a run, and start the downloads of `count`; return their ids."""
    files, ids = records.imports.files, (f"d{n}" for n in range(count))
    assert (await files.reserve(make_run("run", "ann"), REQUEST)).run.file_counts.total == FILES
    claimed = await files.claim(driver("run"), count, lambda: next(ids))
    names = [f"d{n}" for n in range(count)]
    assert [file.download_id for file in claimed] == names
    await records.accept([with_fields(sample_download(), id=id, operation="run") for id in names])
    return names


async def finish(records: Store, id: str, state: State, **fields: object) -> None:
    assert await records.amend(id, lambda row: with_fields(row, state=state, end_time=1, **fields)) is not None


async def retry(records: Store, id: str) -> None:
    """Queue a finished download again, as a user does without its import."""
    assert await records.amend(id, lambda row: with_fields(row, state=State.QUEUED, error=None)) is not None


async def remove_history(records: Store) -> None:
    await records.remove_ended(await records.ended_rows(HistoryFilter()))


async def counts(records: Store) -> FileCounts:
    """Return the recorded numbers of the run."""
    run = await records.imports.operations.get("run")
    assert run is not None
    return run.file_counts


async def finished_run(records: Store, *states: State) -> list[str]:
    """Record a run as done, with downloads that ended in these states; return their ids."""
    ids = await start(records, len(states))
    for id, state in zip(ids, states, strict=True):
        await finish(records, id, state, error=ErrorCode.NETWORK_ERROR if state is State.FAILED else None)
    await records.imports.files.apply_outcomes()
    run = await records.imports.operations.get("run")
    assert run is not None
    await records.imports.operations.save(replace(run, file_counts=await records.imports.files.count("run")))
    return ids


async def outcomes(files: ImportFileRecords) -> list[tuple[object, ...]]:
    listed = await files.of_import("i", 0, 9)
    return [(file.status, file.path, file.saved_size, file.saved_checksum, file.error) for file in listed]


async def add_archived(records: Store) -> None:
    await records.imports.operations.create(make_operation(id="j", user="ann", started_at=6))
    link = FileLink(file_id="G", member="uploads/g", channel_id="C1")
    await records.imports.contents.add(driver("j"), [Channel(channel_id="C1", name="general"), link])


class ImportFileContract:
    """Promises of every implementation of `ImportFileRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """Return a store with an import whose files are pending."""
        async with open_store() as opened:
            await add_pending_files(opened)
            yield opened

    @pytest.fixture
    def files(self, records: Store) -> ImportFileRecords:
        """Return the records of files."""
        return records.imports.files

    @pytest.mark.parametrize("state", [State.COMPLETED, State.SKIPPED])
    async def test_a_failed_file_whose_download_is_retried_counts_as_completed_at_once_and_after_its_removal(
        self, records: Store, files: ImportFileRecords, state: State
    ) -> None:
        first, second, third = await finished_run(records, State.FAILED, State.CANCELLED, State.FAILED)
        assert await counts(records) == FileCounts(total=FILES, failed=3)
        for id in (first, second):
            await retry(records, id)
            assert (await counts(records)).failed == 3 - (id == second)
            await finish(records, id, state, directory="d", filename="f")
        expected = FileCounts(total=FILES, completed=2, failed=1)
        for _ in range(2):
            assert await counts(records) == expected
            assert await files.count("run") == expected
            await remove_history(records)
        listed = await files.of_run("run", 0, 9)
        assert [file.status for file in listed] == ["completed", "completed", "failed", "reserved"]
        assert listed[0].path == ("d/f" if state is State.COMPLETED else None)
        assert third == listed[2].download_id

    async def test_a_retried_file_that_fails_again_has_its_last_error_after_the_removal(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        [first] = await finished_run(records, State.FAILED)
        await retry(records, first)
        await finish(records, first, State.FAILED, error=ErrorCode.REMOTE_FILE_NOT_FOUND, detail="404 of the origin")
        await remove_history(records)
        file = (await files.of_run("run", 0, 9))[0]
        assert (file.status, file.error, file.error_detail) == ("failed", "REMOTE_FILE_NOT_FOUND", "404 of the origin")
        assert await counts(records) == FileCounts(total=FILES, failed=1)

    async def test_the_download_of_a_failed_file_that_is_retried_by_its_run_counts_once(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        [first] = await finished_run(records, State.FAILED)
        await retry(records, first)
        await files.reserve(make_run("next", "ann"), RETRY)
        await finish(records, first, State.COMPLETED)
        await files.apply_outcomes()
        await remove_history(records)
        assert await counts(records) == FileCounts(total=FILES, failed=1)
        assert (await files.count("next")).completed == 1

    @pytest.mark.parametrize(("selected", "shared"), [(None, [True, True, False, False]), (frozenset({"C1"}), [True])])
    async def test_channels_that_share_a_directory_are_known_whatever_is_selected(
        self, records: Store, files: ImportFileRecords, selected: frozenset[str] | None, shared: list[bool]
    ) -> None:
        directories = {"C1": "town", "C2": "town", "C3": "gate", "C4": ""}
        channels = [Channel(channel_id=id, name=id, directory=directory) for id, directory in directories.items()]
        links = [FileLink(file_id=f"F{id}", url="http://h/", channel_id=id) for id in directories]
        # Neither another import nor channels without a directory count.
        for operation in ("j", "k"):
            await records.imports.operations.create(make_operation(id=operation, user="bob", started_at=6))
        await records.imports.contents.add(driver("j"), [*channels, Channel(channel_id="C5", name="C5"), *links])
        await records.imports.contents.add(driver("k"), [channels[2]])
        await records.imports.contents.select(driver("j"), Selection(users=None, channels=selected))
        await files.reserve(make_run("next", "bob"), REQUEST)
        assert [file.shares_directory for file in await files.of_run("next", 0, 9)] == shared

    async def test_files_of_removed_downloads_keep_their_outcomes(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        completed, failed, *_ = await start(records)
        await finish(records, completed, State.COMPLETED)
        await finish(records, failed, State.FAILED)
        assert len(await records.remove_ended(await records.ended_rows(HistoryFilter()))) == 2
        assert await files.count("run") == FileCounts(total=FILES, completed=1, failed=1)
        assert await files.count_downloading("run") == FILES - 2
        assert await files.without_download("run", 9) == []

    @pytest.mark.parametrize("applied", [True, False])
    async def test_files_keep_what_their_downloads_knew_when_these_are_removed(
        self, records: Store, files: ImportFileRecords, applied: bool
    ) -> None:
        completed, failed, retried, _ = await start(records)
        known = {"total": 7, "checksum": "md5=0", "directory": "d", "filename": "f"}
        await finish(records, completed, State.COMPLETED, **known)
        await finish(records, failed, State.FAILED, error=ErrorCode.NETWORK_ERROR)
        if applied:
            await finish(records, retried, State.FAILED, error=ErrorCode.NETWORK_ERROR)
            await files.apply_outcomes()
            await finish(records, retried, State.COMPLETED, error=None, **known)
            await files.reserve(make_run("next", "ann"), PendingRequest(kind=PENDING_FILES))
        else:
            await finish(records, retried, State.COMPLETED, **known)
        expected = [("completed", "d/f", 7, "md5=0", None), ("failed", None, None, None, "NETWORK_ERROR")]
        expected += [expected[0], ("queued", None, None, None, None)]
        assert await outcomes(files) == expected
        await records.remove_ended(await records.ended_rows(HistoryFilter()))
        assert await outcomes(files) == expected
        await files.give_up(("i",), None)
        assert (await outcomes(files))[1] == ("given_up", None, None, None, "NETWORK_ERROR")

    async def test_a_file_that_is_tried_again_has_not_the_state_of_its_earlier_download(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        failed, *_ = await start(records)
        await finish(records, failed, State.FAILED)
        await files.apply_outcomes()
        assert (await files.reserve(make_run("next", "ann"), RETRY)).run.file_counts.total == 1
        assert [file.status for file in await files.of_run("next", 0, 9)] == ["reserved"]

    async def test_pending_files_are_reserved_once_for_their_user(self, files: ImportFileRecords) -> None:
        assert (await files.reserve(make_run("other", "bob"), REQUEST)).run.file_counts.total == 0
        avatars = await files.reserve(make_run("avatars", "ann"), PendingRequest(kind=PENDING_AVATARS))
        assert avatars.run.file_counts.total == 0
        reserved = await files.reserve(make_run("run", "ann"), REQUEST)
        assert (reserved.run.file_counts.total, reserved.run.sources) == (FILES, ("i",))
        assert (await files.reserve(make_run("again", "ann"), REQUEST)).run.file_counts.total == 0
        assert await files.count("run") == FileCounts(total=FILES)

    async def test_claimed_files_have_all_that_a_download_needs(self, records: Store, files: ImportFileRecords) -> None:
        await start(records, 1)
        [file] = await files.of_run("run", 0, 1)
        assert (file.link.file_id, file.channel, file.import_started_at) == ("F0", "general", 5)
        assert await files.count_downloading("run") == 1

    async def test_only_files_that_were_not_claimed_are_cancelled(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        await start(records, 1)
        await files.release(driver("run"))
        assert await files.claim(driver("run"), 9, lambda: "x") == []
        assert await files.count("run") == FileCounts(total=FILES, failed=FILES - 1)
        assert (await files.reserve(make_run("other", "ann"), REQUEST)).run.file_counts.total == 0
        assert (await files.reserve(make_run("next", "ann"), RETRY)).run.file_counts.total == FILES - 1

    async def test_downloads_that_were_never_started_are_found(self, files: ImportFileRecords) -> None:
        await files.reserve(make_run("run", "ann"), REQUEST)
        ids = iter(("n0", "n1"))
        await files.claim(driver("run"), 2, lambda: next(ids))
        assert [file.download_id for file in await files.without_download("run", 9)] == ["n0", "n1"]
        assert len(await files.without_download("run", 1)) == 1

    async def test_outcomes_are_those_of_the_downloads(self, records: Store, files: ImportFileRecords) -> None:
        first, second, third, _ = await start(records)
        await finish(records, first, State.COMPLETED, total=7, checksum="md5=0", directory="d", filename="f")
        await finish(records, second, State.SKIPPED)
        await finish(records, third, State.FAILED, error=ErrorCode.NETWORK_ERROR)
        for _ in range(2):
            assert await files.count("run") == FileCounts(total=FILES, completed=2, failed=1)
            await files.apply_outcomes()
        listed = await files.of_run("run", 0, 9)
        assert [file.status for file in listed] == ["completed", "skipped", "failed", "queued"]
        assert (listed[0].path, listed[0].saved_size, listed[0].saved_checksum) == ("d/f", 7, "md5=0")
        assert (listed[2].path, listed[2].error) == (None, "NETWORK_ERROR")
        assert await files.count_downloading("run") == 1

    async def test_a_failed_file_is_tried_again_only_on_request_and_a_retried_one_is_not_downloaded_twice(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        first, second, third, fourth = await start(records)
        for id in (first, second, third):
            await finish(records, id, State.FAILED)
        await finish(records, fourth, State.COMPLETED)
        await files.apply_outcomes()
        await retry(records, first)
        await finish(records, first, State.COMPLETED)
        await retry(records, second)
        assert (await files.reserve(make_run("other", "ann"), REQUEST)).run.file_counts.total == 0
        again = await files.reserve(make_run("next", "ann"), RETRY)
        assert (again.run.file_counts.total, again.earlier_runs) == (2, ("run",))
        assert await files.count_downloading("next") == 1
        assert [file.link.file_id for file in await files.claim(driver("next"), 9, lambda: "x")] == ["F2"]

    async def test_files_come_in_pages(self, records: Store, files: ImportFileRecords) -> None:
        assert await files.of_import("i", 0, 9) == []
        await start(records)
        page = await files.of_import("i", 0, 3)
        rest = await files.of_import("i", page[-1].number, 3)
        assert [file.link.file_id for file in (*page, *rest)] == ["F0", "F1", "F2", "F3"]
        assert await files.of_run("other", 0, 9) == []

    async def test_files_of_another_import_are_not_reserved_for_the_one_that_is_asked_for(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        await records.imports.operations.create(make_operation(id="j", user="ann", started_at=6))
        link = FileLink(file_id="G", url="http://h/", channel_id="C1")
        await records.imports.contents.add(driver("j"), [Channel(channel_id="C1", name="general"), link])
        await records.imports.contents.select(driver("j"), Selection(users=None, channels=None))
        reserved = await files.reserve(make_run("run", "ann"), PendingRequest(kind=PENDING_FILES, operation="j"))
        assert (reserved.run.file_counts.total, reserved.run.sources) == (1, ("j",))
        assert (await files.reserve(make_run("next", "ann"), REQUEST)).run.sources == ("i",)

    async def test_a_run_is_recorded_together_with_its_files(self, records: Store, files: ImportFileRecords) -> None:
        run = replace(make_run("run", "ann"), sources=("skipped",))
        reserved = await files.reserve(run, REQUEST)
        expected = replace(run, file_counts=FileCounts(total=FILES), sources=("i", "skipped"))
        assert reserved.run == await records.imports.operations.get("run") == expected
        source = await records.imports.operations.get("i")
        assert source is not None
        assert not source.valid
        assert (await files.reserve(make_run("again", "ann"), REQUEST)).run.file_counts.total == 0
        # All or none.
        with pytest.raises(StorageError):
            await files.reserve(make_run("run", "ann"), RETRY)
        assert [file.status for file in await files.of_run("run", 0, 9)] == ["reserved"] * FILES

    async def test_files_that_were_given_up_are_never_tried_again(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        first, second, *_ = await start(records, 2)
        await finish(records, first, State.FAILED)
        await finish(records, second, State.COMPLETED)
        await files.apply_outcomes()
        await files.release(driver("run"))
        assert await files.give_up(("i",), PendingKind.FILE) == GivenUp(count=3, runs=("run",))
        assert (await files.give_up(("i",), None)).count == 0
        assert (await files.reserve(make_run("next", "ann"), RETRY)).run.file_counts.total == 0
        assert [file.status for file in await files.of_import("i", 0, 9)] == [
            "given_up",
            "completed",
            "given_up",
            "given_up",
        ]
        assert await files.count("run") == FileCounts(total=FILES, completed=1, given_up=3)

    async def test_files_that_are_never_downloaded_again_have_no_request_fields(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        fields = RequestFields(headers=(("X-Key", "k"),))
        links = [
            FileLink(file_id=f"G{n}", url="http://h/", channel_id="C1", name=str(n), request_fields=fields)
            for n in range(4)
        ]
        await records.imports.operations.create(make_operation(id="j", user="bob", started_at=5))
        await records.imports.contents.add(driver("j"), [Channel(channel_id="C1", name="general"), *links])
        await records.imports.contents.select(driver("j"), Selection(users=None, channels=None))
        await files.reserve(make_run("bobs", "bob"), REQUEST)
        ids = [f"g{n}" for n in range(4)]
        remaining = iter(ids)
        claimed = await files.claim(driver("bobs"), 4, lambda: next(remaining))
        assert [file.link.request_fields for file in claimed] == [fields] * 4
        await records.accept([with_fields(sample_download(), id=id) for id in ids])
        for id, state in zip(ids[:3], (State.COMPLETED, State.SKIPPED, State.FAILED), strict=True):
            await finish(records, id, state)
        await files.apply_outcomes()

        async def kept() -> list[bool]:
            return [file.link.request_fields == fields for file in await files.of_run("bobs", 0, 9)]

        assert await kept() == [False, False, True, True]
        assert [file.link.name for file in await files.of_run("bobs", 0, 9)] == ["0", "1", "2", "3"]
        await files.give_up(("j",), PendingKind.FILE)
        assert await kept() == [False, False, False, True]

    async def test_an_archive_is_needed_until_its_files_are_saved_or_given_up(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        assert not await files.needs_archive("i", found=True)
        await add_archived(records)
        assert (await files.needs_archive("j", found=True), await files.needs_archive("j", found=False)) == (
            True,
            False,
        )
        await records.imports.contents.select(driver("j"), Selection(users=None, channels=None))
        await files.reserve(make_run("run", "ann"), PendingRequest(kind=PENDING_FILES, operation="j"))
        [file] = await files.claim(driver("run"), 9, lambda: "x")
        assert await files.needs_archive("j", found=False)
        await files.settle(driver("run"), replace(file, status=FileStatus.FAILED, error="STORAGE_ERROR"))
        assert await files.needs_archive("j", found=False)
        await files.give_up(("j",), None)
        assert not await files.needs_archive("j", found=False)

    async def test_the_outcome_of_an_archived_file_is_in_its_row(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        await add_archived(records)
        await records.imports.contents.select(driver("j"), Selection(users=None, channels=None))
        await files.reserve(make_run("run", "ann"), PendingRequest(kind=PENDING_FILES, operation="j"))
        [file] = await files.claim(driver("run"), 9, lambda: "x")
        await files.place(driver("run"), file, "d/g")
        [lost] = await files.without_download("run", 9)
        assert (lost.path, lost.status) == ("d/g", "downloading")
        await files.settle(
            driver("run"), replace(file, status=FileStatus.COMPLETED, saved_size=3, saved_checksum="md5=0")
        )
        [saved] = await files.of_run("run", 0, 9)
        assert (saved.status, saved.path, saved.saved_size, saved.saved_checksum) == ("completed", "d/g", 3, "md5=0")
        assert await files.count("run") == FileCounts(total=1, completed=1)

    async def test_a_file_that_failed_before_its_download_has_an_error_and_its_detail_until_the_next_outcome(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        await files.reserve(make_run("run", "ann"), REQUEST)
        first = (await files.of_run("run", 0, 1))[0]
        await files.settle(
            driver("run"), replace(first, status=FileStatus.FAILED, error="NETWORK_ERROR", error_detail="why")
        )
        [failed] = await files.of_run("run", 0, 1)
        assert (failed.status, failed.error, failed.error_detail) == ("failed", "NETWORK_ERROR", "why")
        await files.reserve(make_run("next", "ann"), RETRY)
        await files.claim(driver("next"), 9, lambda: "d0")
        await records.accept([with_fields(sample_download(), id="d0")])
        await finish(records, "d0", State.COMPLETED)
        await files.apply_outcomes()
        await records.remove_ended(await records.ended_rows(HistoryFilter()))
        [completed] = await files.of_run("next", 0, 1)
        assert (completed.status, completed.error, completed.error_detail) == ("completed", None, None)

    async def test_lists_of_checksums_are_claimed_first_and_complete_the_other_links(
        self, records: Store, files: ImportFileRecords
    ) -> None:
        await records.imports.contents.add(
            driver("i"), [FileLink(file_id="S", url="http://h/SHA256SUMS", channel_id="C1", is_checksum_list=True)]
        )
        await records.imports.contents.select(driver("i"), Selection(users=None, channels=None))
        await files.reserve(make_run("run", "ann"), REQUEST)
        assert (await files.has_lists(("j",)), await files.has_lists(("j", "i"))) == (False, True)
        assert await files.count_lists("run") == 1
        [claimed] = await files.claim(driver("run"), 9, lambda: "x", lists_only=True)
        assert claimed.link.file_id == "S"
        assert [file.link.file_id for file in await files.lists("i", 0, 9)] == ["S"]
        assert await files.lists("i", claimed.number, 9) == []
        other = next(file for file in await files.of_run("run", 0, 9) if file.link.file_id == "F1")
        await files.set_links(driver("run"), [replace(other, link=replace(other.link, checksum="md5=0"))])
        assert [file.link.checksum for file in await files.of_run("run", 0, 9)] == [None, "md5=0", None, None, None]

    @pytest.mark.parametrize("write", ["release", "claim", "place", "settle", "set_links"])
    async def test_a_fenced_driver_changes_no_file(self, records: Store, files: ImportFileRecords, write: str) -> None:
        await files.reserve(make_run("run", "ann"), REQUEST)
        before = await files.of_run("run", 0, 9)
        file = before[0]
        writes: dict[str, Callable[[Driver], Awaitable[object]]] = {
            "release": files.release,
            "claim": lambda driver: files.claim(driver, 9, lambda: "x"),
            "place": lambda driver: files.place(driver, file, "d/f"),
            "settle": lambda driver: files.settle(driver, replace(file, status=FileStatus.FAILED)),
            "set_links": lambda driver: files.set_links(driver, [replace(file, link=FileLink(file_id="other"))]),
        }
        claimed = await records.imports.operations.claim("run", ANY_STATE)
        assert claimed is not None
        for fenced in (driver("run"), driver("unknown"), Driver("run", 2)):
            with pytest.raises(ImportFencedError):
                await writes[write](fenced)
        assert await files.of_run("run", 0, 9) == before
        await writes[write](claimed.driver)
