"""Records of the content of import files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from records.contract import ManualClock
from support.fake_imports import make_operation

from downloadd.import_operation import Channel, FileLink, PendingKind, Selection, WorkspaceUser
from downloadd.records.import_protocol import ImportRecords
from downloadd.records.sqlite import SqliteRecords

USERS = [
    WorkspaceUser(user_id="U1", username="ann", avatar_url="http://h/1"),
    WorkspaceUser(user_id="U2", username="bob", avatar_url="http://h/2"),
    WorkspaceUser(user_id="U3", username="carl"),
]
CHANNELS = [Channel(channel_id=id, name=id.lower()) for id in ("C1", "C2")]
FILES = [FileLink(file_id=f"F{n}", url="http://h/", channel_id=f"C{n}") for n in (1, 2, 2)]


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[ImportRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        await opened.imports.operations.create(make_operation(id="i"))
        await opened.imports.contents.add("i", [*USERS, *CHANNELS, *FILES])
        yield opened.imports


async def pending(records: ImportRecords) -> tuple[int, int]:
    """Return the numbers of pending files and avatars."""
    return (
        await records.files.reserve("run", "u", PendingKind.FILE),
        await records.files.reserve("run", "u", PendingKind.AVATAR),
    )


async def test_everything_is_selected_and_nothing_pending_at_first(records: ImportRecords) -> None:
    assert await records.contents.users("i") == [(user, True) for user in USERS]
    assert await records.contents.channels("i") == [(channel, True) for channel in CHANNELS]
    assert await records.contents.users("other") == []
    assert await pending(records) == (0, 0)


async def test_known_users_and_channels_are_not_added_again(records: ImportRecords) -> None:
    await records.contents.add("i", [WorkspaceUser(user_id="U1", username="other"), *CHANNELS])
    assert [user.username for user, _ in await records.contents.users("i")] == ["ann", "bob", "carl"]
    assert len(await records.contents.channels("i")) == 2


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
    records: ImportRecords,
    users: frozenset[str] | None,
    channels: frozenset[str] | None,
    count: int,
    files: int,
    avatars: int,
) -> None:
    assert await records.contents.select("i", Selection(users=users, channels=channels)) == count
    assert {user.user_id for user, selected in await records.contents.users("i") if selected} == (
        {"U1", "U2", "U3"} if users is None else users & {"U1", "U2", "U3"}
    )
    assert await pending(records) == (files, avatars)


async def test_cleared_content_is_gone_and_can_be_added_again(records: ImportRecords) -> None:
    await records.contents.clear("i")
    assert (await records.contents.users("i"), await records.contents.channels("i")) == ([], [])
    await records.contents.select("i", Selection(users=None, channels=None))
    assert await pending(records) == (0, 0)
    await records.contents.add("i", USERS)
    assert len(await records.contents.users("i")) == 3
