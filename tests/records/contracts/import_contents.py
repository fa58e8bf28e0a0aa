"""Contract of `ImportContentRecords`."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from support.fake_imports import ANY_STATE, make_operation, make_run
from support.stores import OpenStore

from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    PENDING_AVATARS,
    PENDING_FILES,
    Channel,
    Driver,
    FileLink,
    PendingRequest,
    Selection,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.records.import_protocol import ImportFencedError, ImportRecords

DRIVER = Driver("i", 0)
USERS = [
    WorkspaceUser(user_id="U1", username="ann", avatar_url="http://h/1"),
    WorkspaceUser(user_id="U2", username="bob", avatar_url="http://h/2"),
    WorkspaceUser(user_id="U3", username="carl"),
]


CHANNELS = [Channel(channel_id=id, name=id.lower()) for id in ("C1", "C2")]


FILES = [
    FileLink(file_id=file, url="http://h/", channel_id=channel)
    for file, channel in (("F1", "C1"), ("F2", "C2"), ("F3", "C2"))
]


async def pending(records: ImportRecords) -> tuple[int, int]:
    """Return the numbers of pending files and avatars."""
    kinds = (PENDING_FILES, PENDING_AVATARS)
    reserved = [await records.files.reserve(make_run(str(uuid4())), PendingRequest(kind=kind)) for kind in kinds]
    files, avatars = (one.run.file_counts.total for one in reserved)
    return files, avatars


ALL = Selection(users=None, channels=None)


def in_channels(*channels: str) -> Selection:
    return Selection(users=frozenset(), channels=frozenset(channels))


async def links(records: ImportRecords) -> list[str]:
    """Return the channels of the files that a run downloads."""
    await records.files.reserve(make_run("run"), PendingRequest(kind=PENDING_FILES))
    return [file.link.channel_id for file in await records.files.of_run("run", 0, 99)]


def stub(file_id: str = "", channel_id: str = "") -> SkippedEntry:
    return SkippedEntry(reason=SkipReason.DELETED, detail="gone", file_id=file_id, channel_id=channel_id)


async def skipped(records: ImportRecords) -> list[tuple[str, str]]:
    listed = await records.contents.skipped("i", 0, 99)
    assert len(listed) == await records.contents.count_skipped("i")
    return [(entry.file_id, entry.channel) for _, entry in listed]


class ImportContentContract:
    """Promises of every implementation of `ImportContentRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[ImportRecords]:
        """Return the records of an import with some content."""
        async with open_store() as opened:
            await opened.imports.operations.create(make_operation(id="i"))
            await opened.imports.contents.add(DRIVER, [*USERS, *CHANNELS, *FILES])
            yield opened.imports

    async def test_everything_is_selected_and_nothing_pending_at_first(self, records: ImportRecords) -> None:
        assert await records.contents.users("i", "", 9) == [(user, True) for user in USERS]
        assert await records.contents.channels("i", "", 9) == [(channel, True) for channel in CHANNELS]
        assert await records.contents.users("other", "", 9) == []
        assert await pending(records) == (0, 0)

    async def test_known_users_and_channels_are_not_added_again(self, records: ImportRecords) -> None:
        await records.contents.add(DRIVER, [WorkspaceUser(user_id="U1", username="other"), *CHANNELS])
        assert [user.username for user, _ in await records.contents.users("i", "", 9)] == ["ann", "bob", "carl"]
        assert len(await records.contents.channels("i", "", 9)) == 2

    @pytest.mark.parametrize(
        ("users", "channels", "count", "files", "avatars"),
        [
            (None, None, 5, 3, 2),
            (frozenset({"U1", "U3"}), frozenset({"C2"}), 3, 2, 1),
            (frozenset(), frozenset({"C1"}), 1, 1, 0),
            (frozenset({"nobody"}), frozenset({"C3"}), 0, 0, 0),
        ],
    )
    async def test_a_selection_makes_its_files_and_avatars_pending(
        self,
        records: ImportRecords,
        users: frozenset[str] | None,
        channels: frozenset[str] | None,
        count: int,
        files: int,
        avatars: int,
    ) -> None:
        assert await records.contents.select(DRIVER, Selection(users=users, channels=channels)) == count
        assert {user.user_id for user, selected in await records.contents.users("i", "", 9) if selected} == (
            {"U1", "U2", "U3"} if users is None else users & {"U1", "U2", "U3"}
        )
        assert await pending(records) == (files, avatars)

    async def test_cleared_content_is_gone_and_can_be_added_again(self, records: ImportRecords) -> None:
        await records.contents.clear(DRIVER)
        assert (await records.contents.users("i", "", 9), await records.contents.channels("i", "", 9)) == ([], [])
        await records.contents.select(DRIVER, Selection(users=None, channels=None))
        assert await pending(records) == (0, 0)
        await records.contents.add(DRIVER, USERS)
        assert len(await records.contents.users("i", "", 9)) == 3

    async def test_users_and_channels_come_in_pages(self, records: ImportRecords) -> None:
        first = await records.contents.users("i", "", 2)
        assert [user.user_id for user, _ in (*first, *await records.contents.users("i", first[-1][0].user_id, 2))] == [
            "U1", "U2", "U3",
        ]  # fmt: skip
        assert [channel.channel_id for channel, _ in await records.contents.channels("i", "C1", 9)] == ["C2"]

    @pytest.mark.parametrize(
        ("selection", "expected"),
        [(ALL, ["C1", "C2"]), (in_channels("C2"), ["C2", "C2"]), (in_channels("C1"), ["C1"])],
    )
    async def test_a_file_of_two_channels_comes_once_with_whichever_is_selected(
        self, records: ImportRecords, selection: Selection, expected: list[str]
    ) -> None:
        await records.contents.clear(DRIVER)
        shared = [FileLink(file_id="F1", url="http://h/", channel_id=id) for id in ("C1", "C2", "C1")]
        await records.contents.add(
            DRIVER, [*CHANNELS, *shared, FileLink(file_id="F2", url="http://h/", channel_id="C2")]
        )
        await records.contents.select(DRIVER, selection)
        assert await links(records) == expected

    async def test_a_selection_that_is_repeated_after_a_crash_makes_no_second_file_pending(
        self, records: ImportRecords
    ) -> None:
        await records.contents.clear(DRIVER)
        shared = [FileLink(file_id="F1", url="http://h/", channel_id=id) for id in ("C1", "C2")]
        await records.contents.add(DRIVER, [*CHANNELS, *shared])
        for selection in (ALL, ALL, in_channels("C2")):
            await records.contents.select(DRIVER, selection)
        assert await links(records) == ["C2"]

    async def test_equal_files_of_a_list_are_all_kept(self, records: ImportRecords) -> None:
        await records.contents.clear(DRIVER)
        twice = [FileLink(file_id="F1", url="http://h/", channel_id=FILES_CHANNEL_ID, name=name) for name in ("a", "b")]
        await records.contents.add(DRIVER, [Channel(channel_id=FILES_CHANNEL_ID, name="l"), *twice])
        await records.contents.select(DRIVER, ALL)
        assert len(await links(records)) == 2

    async def test_a_user_that_two_lists_name_has_one_avatar(self, records: ImportRecords) -> None:
        await records.contents.add(DRIVER, USERS)
        await records.contents.select(DRIVER, ALL)
        assert await pending(records) == (3, 2)

    async def test_only_what_the_selection_misses_is_skipped(self, records: ImportRecords) -> None:
        """F1 is whole in C1 and a stub in C2; F9 is a stub in both."""
        await records.contents.add(DRIVER, [stub("F1", "C2"), stub("F9", "C1"), stub("F9", "C2"), stub()])
        assert await skipped(records) == [("F9", "c1"), ("F9", "c2"), ("", "")]
        await records.contents.select(DRIVER, in_channels("C2"))
        assert await skipped(records) == [("F1", "c2"), ("F9", "c2"), ("", "")]
        await records.contents.select(DRIVER, in_channels("C1"))
        assert await skipped(records) == [("F9", "c1"), ("", "")]

    async def test_skipped_entries_come_in_pages_and_are_cleared(self, records: ImportRecords) -> None:
        await records.contents.add(DRIVER, [stub() for _ in range(5)])
        first = await records.contents.skipped("i", 0, 3)
        assert len(first) == 3
        assert len(await records.contents.skipped("i", first[-1][0], 3)) == 2
        await records.contents.clear(DRIVER)
        assert await skipped(records) == []

    async def test_a_fenced_driver_changes_no_content(self, records: ImportRecords) -> None:
        before = (await records.contents.users("i", "", 9), await records.contents.channels("i", "", 9))
        claimed = await records.operations.claim("i", ANY_STATE)
        assert claimed is not None
        late = WorkspaceUser(user_id="U9", username="late")
        for write in (
            records.contents.clear(DRIVER),
            records.contents.add(DRIVER, [late]),
            records.contents.add(Driver("unknown", 0), [late], operation="i"),
            records.contents.select(DRIVER, in_channels("C1")),
        ):
            with pytest.raises(ImportFencedError):
                await write
        assert (await records.contents.users("i", "", 9), await records.contents.channels("i", "", 9)) == before
        assert await pending(records) == (0, 0)
        assert await records.contents.select(claimed.driver, in_channels("C1")) == 1

    async def test_a_driver_adds_to_another_import(self, records: ImportRecords) -> None:
        await records.operations.create(make_operation(id="run"))
        await records.contents.add(Driver("run", 0), [stub("F9")], operation="i")
        assert await skipped(records) == [("F9", "")]
