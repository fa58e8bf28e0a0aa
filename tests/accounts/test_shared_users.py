"""Users that several nodes share, by two nodes of one database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.waiting import wait_until

from downloadd.accounts import shared_users
from downloadd.accounts.shared_users import SharedUsers
from downloadd.accounts.user_file import RETIRED_FILE_NAME, read_users, write_users
from downloadd.accounts.user_store import make_user
from downloadd.clock import SystemClock
from downloadd.config import USER_FILE_NAME, UserConfig
from downloadd.errors import InvalidStateError, NotFoundError, StartupError
from downloadd.records.postgres.records import PostgresRecords


class Node:
    """Users of a node, with those that hold there now."""

    def __init__(self, state_dir: Path, records: PostgresRecords) -> None:
        state_dir.mkdir(exist_ok=True)
        self.users = SharedUsers(records.users, records.hints, state_dir, self._apply)
        self.applied: list[tuple[UserConfig, ...]] = []

    def _apply(self, users: Sequence[UserConfig]) -> None:
        self.applied.append(tuple(users))

    @property
    def hashes(self) -> dict[str, str]:
        return {user.id: user.token_hash for user in (self.applied[-1] if self.applied else ())}


@pytest.fixture
async def records(database: str) -> AsyncIterator[tuple[PostgresRecords, PostgresRecords]]:
    """Open the records of two nodes."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        one = await stack.enter_async_context(PostgresRecords(database, clock, is_owner=False))
        yield one, await stack.enter_async_context(PostgresRecords(database, clock, is_owner=False))


async def test_every_node_knows_a_change_by_a_hint_or_without(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, other = Node(tmp_path / "a", records[0]), Node(tmp_path / "b", records[1])
    async with acts.users, other.users:
        for poll in (shared_users.POLL_SECONDS, 0.01):
            monkeypatch.setattr(shared_users, "POLL_SECONDS", poll)
            if poll == 0.01:
                monkeypatch.setattr(records[0].hints, "send", lambda *hint: None)
            new = await acts.users.create("ann", ["download"])
            before = acts.hashes
            assert before.keys() == {"ann"}
            await wait_until(lambda: other.hashes == acts.hashes)
            assert (await other.users.rotate("ann")).token != new.token
            assert other.hashes["ann"] != before["ann"]
            await wait_until(lambda: other.hashes == acts.hashes)
            assert [one.id for one in await other.users.list()] == ["ann"]
            await acts.users.revoke("ann")
            assert acts.hashes == {}
            await wait_until(lambda: other.hashes == {})


async def test_what_cannot_be_done_is_refused(records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path) -> None:
    async with Node(tmp_path, records[0]).users as users:
        await users.create("ann", [])
        with pytest.raises(InvalidStateError, match="already"):
            await users.create("ann", [])
        for call in (users.rotate, users.revoke):
            with pytest.raises(NotFoundError, match="no user bob"):
                await call("bob")


async def test_users_of_the_state_directory_are_moved_to_the_records(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_users, "POLL_SECONDS", 0.01)
    ann, bob, other_ann = (make_user(id, ["download"])[0] for id in ("ann", "bob", "ann"))
    node = Node(tmp_path, records[0])
    write_users(tmp_path, [ann])
    async with node.users:
        assert node.applied == [(ann,)]
        assert not (tmp_path / USER_FILE_NAME).exists()
        assert (tmp_path / RETIRED_FILE_NAME).exists()
        with capture_logs() as lines:
            # As a command on this machine does, also with users that were moved before.
            write_users(tmp_path, [other_ann, bob])
            await wait_until(lambda: node.applied[-1] == (ann, bob))
            await wait_until(lambda: read_users(tmp_path) == ())
        assert [line["ids"] for line in lines if line["event"] == "users_not_added"] == [["ann"]]
        await node.users.revoke("ann")
    # A revoked user does not come back with the next start.
    async with node.users:
        assert [user.id for user in node.applied[-1]] == ["bob"]


async def test_a_malformed_file_stops_the_start_and_is_logged_once_while_the_daemon_runs(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_users, "POLL_SECONDS", 0.01)
    node = Node(tmp_path, records[0])
    async with node.users:
        with capture_logs() as lines:
            (tmp_path / USER_FILE_NAME).write_text("users = 1")
            await wait_until(lambda: lines)
            await node.users.create("ann", [])
        assert [line["event"] for line in lines if line["log_level"] == "error"] == ["users_not_moved"]
        assert node.hashes.keys() == {"ann"}
    with pytest.raises(StartupError, match="is malformed"):
        await Node(tmp_path, records[1]).users.__aenter__()
