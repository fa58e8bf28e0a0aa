"""Users of a state directory; the commands are tested in `tests/cli/test_users.py`."""

import threading
from pathlib import Path

import pytest

from downloadd.accounts.first_user import ensure_first_user
from downloadd.accounts.local_users import LocalUsers, StateDirectoryUsers
from downloadd.accounts.user_file import read_users
from downloadd.errors import InvalidStateError, NotFoundError, StorageError


async def test_a_change_is_applied_before_it_returns(tmp_path: Path) -> None:
    first = ensure_first_user(tmp_path).user
    seen: list[list[str]] = []

    async def reread() -> None:
        seen.append([one.id for one in await users.list()])

    users = StateDirectoryUsers(tmp_path, reread)
    new = await users.create("ann", ["download"])
    assert (await users.rotate("ann")).token != new.token
    rotated = await users.rotate(first.id)
    await users.revoke("ann")
    assert seen == [[first.id, "ann"], [first.id, "ann"], [rotated.id, "ann"], [rotated.id]]
    assert [one.kind for one in await users.list()] == ["first"]
    await users.revoke(rotated.id)
    assert seen[-1] == []
    with pytest.raises(NotFoundError):
        await users.revoke(rotated.id)


async def test_a_state_directory_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text("users = 1")
    users = StateDirectoryUsers(tmp_path, lambda: pytest.fail("nothing has changed"))
    with pytest.raises(StorageError, match="is malformed"):
        await users.create("ann", [])


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
