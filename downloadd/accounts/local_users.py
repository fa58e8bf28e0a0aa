"""Users of a state directory: those of `users.toml`, and the first one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from downloadd.accounts.first_user import TOKEN_FILE_NAME, ensure_first_user, read_first_user
from downloadd.accounts.user_file import locked_users, read_users, write_users
from downloadd.accounts.user_store import (
    NewUser,
    UserDescription,
    UserKind,
    describe_user,
    make_user,
    new_token,
    taken_id,
    unknown_user,
)
from downloadd.config import UserConfig
from downloadd.errors import StartupError, StorageError

T = TypeVar("T")


class LocalUsers:
    """The users of a state directory. Blocks.

    Raises:
        StartupError: the state directory cannot be used.
        InvalidStateError: the id of a new user is taken.
        NotFoundError: there is no such user.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def list(self) -> list[UserDescription]:
        """Return all of them, the first user before the others."""
        first = self._first()
        shown = [] if first is None else [describe_user(first, UserKind.FIRST)]
        return shown + [describe_user(user, UserKind.MADE) for user in read_users(self._state_dir)]

    def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user, and return it with its token."""
        with locked_users(self._state_dir):
            if any(user.id == id for user in self.list()):
                raise taken_id(id)
            made, new = make_user(id, permissions)
            write_users(self._state_dir, (*read_users(self._state_dir), made))
        return new

    def rotate(self, id: str) -> NewUser:
        """Give a user another token; the first user gets another id with it."""
        if self._is_first(id):
            (self._state_dir / TOKEN_FILE_NAME).unlink()
            first = ensure_first_user(self._state_dir)
            shown = describe_user(first.user, UserKind.FIRST)
            return NewUser(id=shown.id, permissions=shown.permissions, kind=shown.kind, token=first.token)
        with locked_users(self._state_dir):
            users = self._users_with(id)
            token, token_hash = new_token()
            write_users(
                self._state_dir, [replace(user, token_hash=token_hash) if user.id == id else user for user in users]
            )
        permissions = next(user.permissions for user in users if user.id == id)
        return NewUser(id=id, permissions=permissions, kind=UserKind.MADE, token=token)

    def revoke(self, id: str) -> None:
        """Remove a user."""
        if self._is_first(id):
            (self._state_dir / TOKEN_FILE_NAME).unlink()
            return
        with locked_users(self._state_dir):
            write_users(self._state_dir, [user for user in self._users_with(id) if user.id != id])

    def _first(self) -> UserConfig | None:
        return read_first_user(self._state_dir).user if (self._state_dir / TOKEN_FILE_NAME).exists() else None

    def _is_first(self, id: str) -> bool:
        first = self._first()
        return first is not None and first.id == id

    def _users_with(self, id: str) -> tuple[UserConfig, ...]:
        users = read_users(self._state_dir)
        if all(user.id != id for user in users):
            raise unknown_user(id, str(self._state_dir))
        return users


class StateDirectoryUsers:
    """`UserStore` of one daemon: the users of its state directory."""

    def __init__(self, state_dir: Path, reread: Callable[[], Awaitable[None]]) -> None:
        """Take the state directory; `reread` applies its users."""
        self._users = LocalUsers(state_dir)
        self._reread = reread

    async def list(self) -> Sequence[UserDescription]:
        """Return all of them; see `UserStore.list`."""
        return await self._call(self._users.list)

    async def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user; see `UserStore.create`."""
        return await self._change(lambda: self._users.create(id, permissions))

    async def rotate(self, id: str) -> NewUser:
        """Give a user another token; see `UserStore.rotate`."""
        return await self._change(lambda: self._users.rotate(id))

    async def revoke(self, id: str) -> None:
        """Remove a user; see `UserStore.revoke`."""
        await self._change(lambda: self._users.revoke(id))

    async def _change(self, change: Callable[[], T]) -> T:
        result = await self._call(change)
        await self._reread()
        return result

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except (StartupError, OSError) as error:
            raise StorageError(str(error)) from error
