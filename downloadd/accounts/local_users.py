"""Users of a state directory: those of `users.toml`, and the first one."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from msgspec.structs import replace

from downloadd.accounts.first_user import TOKEN_FILE_NAME, ensure_first_user, find_first_user
from downloadd.accounts.known_users import KnownUsers
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
from downloadd.accounts.user_watch import UserWatch, WatchedFile
from downloadd.config import USER_FILE_NAME, UserConfig
from downloadd.errors import StartupError, StorageError
from downloadd.stable_storage import sync_directory

Changed = TypeVar("Changed", bound=UserDescription)


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
        first = find_first_user(self._state_dir)
        shown = [] if first is None else [describe_user(first, UserKind.FIRST)]
        return shown + [describe_user(user, UserKind.MADE) for user in read_users(self._state_dir)]

    def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user, and return it with its token."""
        with locked_users(self._state_dir):
            users = read_users(self._state_dir)
            if any(user.id == id for user in users):
                raise taken_id(id)
            made, new = make_user(id, permissions)
            write_users(self._state_dir, (*users, made))
        return new

    def rotate(self, id: str) -> NewUser:
        """Give a user another token; the first user gets another id with it."""
        with locked_users(self._state_dir):
            users = read_users(self._state_dir)
            former = _find(users, id)
            if former is not None:
                token, token_hash = new_token()
                write_users(
                    self._state_dir, [replace(user, token_hash=token_hash) if user.id == id else user for user in users]
                )
                return NewUser(id=id, permissions=former.permissions, kind=UserKind.MADE, token=token)
        self._remove_first(id)
        first = ensure_first_user(self._state_dir)
        shown = describe_user(first.user, UserKind.FIRST)
        return NewUser(id=shown.id, permissions=shown.permissions, kind=shown.kind, token=first.token)

    def revoke(self, id: str) -> UserDescription:
        """Remove a user, and return it."""
        with locked_users(self._state_dir):
            users = read_users(self._state_dir)
            former = _find(users, id)
            if former is not None:
                write_users(self._state_dir, [user for user in users if user.id != id])
                return describe_user(former, UserKind.MADE)
        return describe_user(self._remove_first(id), UserKind.FIRST)

    def _remove_first(self, id: str) -> UserConfig:
        """Remove the token file of the first user, if it has this id, and return the user."""
        first = find_first_user(self._state_dir)
        if first is None or first.id != id:
            raise unknown_user(id, str(self._state_dir))
        (self._state_dir / TOKEN_FILE_NAME).unlink()
        sync_directory(self._state_dir)
        return first


def _find(users: Sequence[UserConfig], id: str) -> UserConfig | None:
    return next((user for user in users if user.id == id), None)


class StateDirectoryUsers:
    """`UserStore` of one daemon: the users of its state directory. Opens and closes with `async with`.

    Raises:
        StartupError: on entering, a file of the users cannot be used.
    """

    def __init__(self, state_dir: Path, known: KnownUsers) -> None:
        """Take the state directory and the users of this node."""
        self._users = LocalUsers(state_dir)
        self._file = WatchedFile(state_dir / USER_FILE_NAME, self._read_made)
        self._first_file = watch_first_user(state_dir, known)
        self._state_dir = state_dir
        self._known = known
        self._watch = UserWatch({USER_FILE_NAME: self._file.refresh, TOKEN_FILE_NAME: self._first_file.refresh})

    async def __aenter__(self) -> Self:
        await self._watch.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._watch.__aexit__(kind, error, trace)

    async def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user; see `UserStore.create`."""
        return await self._change(lambda: self._users.create(id, permissions))

    async def rotate(self, id: str) -> NewUser:
        """Give a user another token; see `UserStore.rotate`."""
        return await self._change(lambda: self._users.rotate(id))

    async def revoke(self, id: str) -> None:
        """Remove a user; see `UserStore.revoke`."""
        await self._change(lambda: self._users.revoke(id))

    async def _change(self, change: Callable[[], Changed]) -> Changed:
        """Change a file and apply it; a mistake in the other one does not matter."""
        try:
            changed = await asyncio.to_thread(change)
            await (self._first_file if changed.kind is UserKind.FIRST else self._file).refresh()
        except (StartupError, OSError) as error:
            raise StorageError(str(error)) from error
        return changed

    async def _read_made(self) -> None:
        self._known.replace_made(await asyncio.to_thread(read_users, self._state_dir))


def watch_first_user(state_dir: Path, known: KnownUsers) -> WatchedFile:
    """Return the file of the first user, which replaces that user in `known`."""

    async def read() -> None:
        known.replace_first(await asyncio.to_thread(find_first_user, state_dir))

    return WatchedFile(state_dir / TOKEN_FILE_NAME, read)
