"""Ids that import files name, as they are stored."""

from support.clocks import ManualClock
from support.fake_imports import make_operation

from downloadd.import_operation import (
    Channel,
    FileLink,
    ImportState,
    Selection,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.records.postgres.import_keys import MAX_ID_CHARACTERS, import_key
from downloadd.records.postgres.records import PostgresRecords

# Texts that can be compressed fit into an index.
LONG = "".join(chr(0x4E00 + number * number % 0x4FFF) for number in range(5000))


def test_only_long_ids_are_replaced() -> None:
    for id in ("", "C1", "\udcff" * MAX_ID_CHARACTERS):
        assert import_key(id) == id
    keys = {import_key(LONG), import_key(LONG + "x"), import_key("\udcff" * (MAX_ID_CHARACTERS + 1))}
    assert {len(key) for key in keys} == {71}
    assert len(keys) == 3


async def test_contents_with_long_ids_are_found_and_selected(database: str) -> None:
    users = [WorkspaceUser(user_id=f"{LONG}{number}", username="u") for number in range(5)]
    channel, other = Channel(channel_id=f"c{LONG}", name="c"), Channel(channel_id="other", name="other")
    link = FileLink(file_id=f"f{LONG}", channel_id=channel.channel_id, url="http://x/")
    skipped = SkippedEntry(
        reason=SkipReason.MALFORMED, detail="d", channel_id=channel.channel_id, file_id=link.file_id + "2"
    )
    operation = make_operation()
    async with PostgresRecords(database, ManualClock()) as records:
        contents = records.imports.contents
        await records.imports.operations.create(operation)
        claimed = await records.imports.operations.claim(operation.id, tuple(ImportState))
        assert claimed is not None
        await contents.add(claimed.driver, [*users, channel, other, link, skipped])
        listed: list[WorkspaceUser] = []
        while page := await contents.users(operation.id, listed[-1].user_id if listed else "", 2):
            listed += [user for user, _ in page]
        assert sorted(listed, key=lambda user: user.user_id) == users
        selection = Selection(users=frozenset({users[1].user_id}), channels=frozenset({channel.channel_id}))
        assert await contents.select(claimed.driver, selection) == 2
        chosen = [user for user, is_selected in await contents.users(operation.id, "", 9) if is_selected]
        assert chosen == [users[1]]
        assert await contents.count_skipped(operation.id) == 1
