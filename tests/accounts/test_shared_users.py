"""Users that several nodes share, by two nodes of one database."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from accounts.contracts.user_store import UserStoreContract
from structlog.testing import capture_logs
from support.opened_users import OpenUsers
from support.waiting import wait_until

from downloadd.accounts import user_watch
from downloadd.accounts.first_user import ensure_first_user
from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.shared_users import SharedUsers
from downloadd.accounts.user_file import RETIRED_FILE_NAME, claim_users, read_users, write_users
from downloadd.accounts.user_store import UserStore, make_user
from downloadd.clock import SystemClock
from downloadd.errors import InvalidStateError, StartupError, StoreUnavailableError
from downloadd.records.postgres.records import PostgresRecords


class Node:
    """Users of a node, with those that hold there now."""

    def __init__(self, state_dir: Path, records: PostgresRecords) -> None:
        state_dir.mkdir(exist_ok=True)
        self.known = KnownUsers((), lambda users: None)
        self.users = SharedUsers(records.users, records.hints, state_dir, self.known)

    @property
    def hashes(self) -> dict[str, str]:
        return {user.id: user.token_hash for user in self.known.all}


@pytest.fixture
async def records(database: str) -> AsyncIterator[tuple[PostgresRecords, PostgresRecords]]:
    """Open the records of two nodes."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        one = await stack.enter_async_context(PostgresRecords(database, clock, is_owner=False))
        yield one, await stack.enter_async_context(PostgresRecords(database, clock, is_owner=False))


class TestSharedUsers(UserStoreContract):
    """The contract, kept by the records of several nodes."""

    @pytest.fixture
    def open_users(self, records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path) -> OpenUsers:
        @asynccontextmanager
        async def opened() -> AsyncIterator[tuple[UserStore, KnownUsers]]:
            node = Node(tmp_path, records[0])
            async with node.users:
                yield node.users, node.known

        return opened


async def test_every_node_knows_a_change_by_a_hint_or_without(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, other = Node(tmp_path / "a", records[0]), Node(tmp_path / "b", records[1])
    async with acts.users, other.users:
        for poll in (user_watch.POLL_SECONDS, 0.01):
            monkeypatch.setattr(user_watch, "POLL_SECONDS", poll)
            if poll == 0.01:
                monkeypatch.setattr(records[0].hints, "send", lambda *hint: None)
            await acts.users.create("ann", ["download"])
            before = acts.hashes
            await wait_until(lambda: other.hashes == acts.hashes)
            await other.users.rotate("ann")
            assert other.hashes["ann"] != before["ann"]
            await wait_until(lambda: other.hashes == acts.hashes)
            await acts.users.revoke("ann")
            await wait_until(lambda: other.hashes == {})


async def test_a_change_holds_and_is_answered_when_the_records_cannot_be_read_after_it(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path, records[0])
    async with node.users:
        await node.users.create("ann", ["download"])

        async def fail() -> None:
            raise StoreUnavailableError("away")

        monkeypatch.setattr(records[0].users, "list", fail)
        await node.users.revoke("ann")
        assert node.hashes == {}


async def test_the_first_user_of_a_node_is_valid_there_and_is_not_changed(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path
) -> None:
    first = ensure_first_user(tmp_path).user
    node = Node(tmp_path, records[0])
    async with node.users:
        assert node.known.all == (first,)
        with pytest.raises(InvalidStateError, match="remove the file token"):
            await node.users.revoke(first.id)


async def test_users_of_the_state_directory_are_moved_to_the_records_by_the_start(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path
) -> None:
    ann, bob, other_ann = (make_user(id, ["download"])[0] for id in ("ann", "bob", "ann"))
    node = Node(tmp_path, records[0])
    # A start that was killed has put a file aside.
    write_users(tmp_path, [ann])
    claim_users(tmp_path)
    write_users(tmp_path, [other_ann, bob])
    with capture_logs() as lines:
        async with node.users:
            assert node.known.all == (ann, bob)
            await node.users.revoke("ann")
    assert [line["ids"] for line in lines if line["event"] == "users_not_added"] == [["ann"]]
    assert read_users(tmp_path) == ()
    # The token of the one that was not added is still known.
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {RETIRED_FILE_NAME, f"{RETIRED_FILE_NAME}-2"}
    assert other_ann.token_hash in (tmp_path / f"{RETIRED_FILE_NAME}-2").read_text()
    # A revoked user does not come back with the next start.
    async with node.users:
        assert node.hashes.keys() == {"bob"}


async def test_users_are_not_moved_from_a_file_that_cannot_be_renamed(
    records: tuple[PostgresRecords, PostgresRecords], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*names: Path) -> None:
        raise PermissionError("read-only")

    write_users(tmp_path, [make_user("ann", [])[0]])
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", fail)
        with pytest.raises(StartupError, match="cannot be renamed"):
            await Node(tmp_path, records[0]).users.__aenter__()
    assert list(await records[0].users.list()) == []
    (tmp_path / "users.toml").write_text("users = 1")
    with pytest.raises(StartupError, match="expected a list"):
        await Node(tmp_path, records[1]).users.__aenter__()
