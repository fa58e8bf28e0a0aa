"""Users of a state directory; the commands are tested in `tests/cli/test_users.py`."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from accounts.contracts.user_store import UserStoreContract
from structlog.testing import capture_logs
from support.fake_users import FakeUsers
from support.opened_users import OpenUsers
from support.waiting import wait_until

from downloadd.accounts import user_watch
from downloadd.accounts.first_user import ensure_first_user
from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.local_users import LocalUsers, StateDirectoryUsers
from downloadd.accounts.user_file import read_users, write_users
from downloadd.accounts.user_store import UserStore, make_user
from downloadd.config import UserConfig
from downloadd.errors import InvalidStateError, NotFoundError, StartupError, StorageError


def no_users() -> KnownUsers:
    return KnownUsers((), lambda users: None)


def ids(users: Sequence[UserConfig]) -> list[str]:
    return [user.id for user in users]


class TestStateDirectoryUsers(UserStoreContract):
    """The contract, kept by a state directory."""

    @pytest.fixture
    def open_users(self, tmp_path: Path) -> OpenUsers:
        @asynccontextmanager
        async def opened() -> AsyncIterator[tuple[UserStore, KnownUsers]]:
            known = no_users()
            async with StateDirectoryUsers(tmp_path, known) as users:
                yield users, known

        return opened


class TestFakeUsers(UserStoreContract):
    """The contract, kept by the fake of other tests."""

    @pytest.fixture
    def open_users(self) -> OpenUsers:
        known = no_users()
        users = FakeUsers(known)

        @asynccontextmanager
        async def opened() -> AsyncIterator[tuple[UserStore, KnownUsers]]:
            yield users, known

        return opened


async def test_the_first_user_gets_another_token_and_is_revoked(tmp_path: Path) -> None:
    first, known = ensure_first_user(tmp_path).user, no_users()
    async with StateDirectoryUsers(tmp_path, known) as users:
        assert known.all == (first,)
        rotated = await users.rotate(first.id)
        assert (ids(known.all), rotated.kind) == ([rotated.id], "first")
        with pytest.raises(NotFoundError):
            await users.rotate(first.id)
        await users.revoke(rotated.id)
        assert ids(known.all) == []


async def test_files_that_others_change_are_applied_and_mistakes_keep_no_user_of_the_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_watch, "POLL_SECONDS", 0.005)
    known = no_users()
    first = ensure_first_user(tmp_path)
    ann, bob = (make_user(id, ["download"])[0] for id in ("ann", "bob"))
    async with StateDirectoryUsers(tmp_path, known) as users:
        write_users(tmp_path, [ann, bob])
        await wait_until(lambda: known.all == (ann, bob, first.user))
        with capture_logs() as lines:
            first.file.write_text("no token\n")
            await wait_until(lambda: lines)
        assert [(line["event"], line["source"]) for line in lines] == [("users_not_read", "token")]
        await users.revoke("bob")
        await users.rotate("ann")
        assert ids(known.all) == ["ann", first.user.id]
        # A file that is removed is no mistake.
        first.file.unlink()
        await wait_until(lambda: ids(known.all) == ["ann"])
        with capture_logs() as lines:
            (tmp_path / "users.toml").write_text("users = 1")
            await wait_until(lambda: lines)
        with pytest.raises(StorageError, match="expected a list of tables"):
            await users.revoke("ann")
        ensure_first_user(tmp_path)
        await wait_until(lambda: len(known.all) == 2)
        write_users(tmp_path, [])
        await wait_until(lambda: ids(known.all) != ["ann"] and len(known.all) == 1)


async def test_a_token_that_others_may_read_does_not_keep_other_users_from_being_revoked(tmp_path: Path) -> None:
    first, known = ensure_first_user(tmp_path), no_users()
    async with StateDirectoryUsers(tmp_path, known) as users:
        first.file.chmod(0o640)
        await users.create("ann", ["download"])
        await users.rotate("ann")
        await users.revoke("ann")
        assert known.all == (first.user,)
        with pytest.raises(StorageError, match="chmod 600"):
            await users.rotate(first.user.id)


async def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    write_users(tmp_path, [make_user("ann", [])[0]] * 2)
    with pytest.raises(StartupError, match="is taken already"):
        await StateDirectoryUsers(tmp_path, no_users()).__aenter__()


def test_of_two_that_create_a_user_at_once_none_is_lost(tmp_path: Path) -> None:
    def create(id: str) -> None:
        LocalUsers(tmp_path).create(id, ["download"])

    threads = [threading.Thread(target=create, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(user.id for user in read_users(tmp_path)) == [str(number) for number in range(8)]
    with pytest.raises(InvalidStateError, match="already"):
        create("1")
