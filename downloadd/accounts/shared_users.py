"""Users that several nodes share: in their records, with a poll and hints for the changes of other nodes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from downloadd.accounts.first_user import TOKEN_FILE_NAME
from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.local_users import watch_first_user
from downloadd.accounts.user_file import claim_users, retire_users
from downloadd.accounts.user_store import (
    NewUser,
    UserKind,
    make_user,
    new_token,
    taken_id,
    unknown_user,
)
from downloadd.accounts.user_watch import UserWatch
from downloadd.config import UserConfig
from downloadd.errors import DownloadError, InvalidStateError
from downloadd.records.hints import Hints, Topic
from downloadd.records.users import UserRecords

log = structlog.get_logger()


class SharedUsers:
    """`UserStore` of several nodes. Opens and closes with `async with`.

    Users in `users.toml` of the state directory, from a time without other nodes, are moved to the records when it is
    opened. While the records are unavailable, the users stay as they were.

    Raises:
        StartupError: on entering, the state directory cannot be used.
        StoreUnavailableError: on entering, the records cannot be used.
    """

    def __init__(self, records: UserRecords, hints: Hints, state_dir: Path, known: KnownUsers) -> None:
        """Take the parts, and the users of this node."""
        self._records = records
        self._hints = hints
        self._state_dir = state_dir
        self._known = known
        self._made: tuple[UserConfig, ...] = ()
        # A read that began before a change must not be applied after it.
        self._lock = asyncio.Lock()
        first_file = watch_first_user(state_dir, known)
        self._watch = UserWatch({TOKEN_FILE_NAME: first_file.refresh, "records": self._read})
        hints.subscribe(Topic.USERS, lambda ids: self._watch.wake())

    async def __aenter__(self) -> Self:
        await self._move_file()
        await self._watch.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._watch.__aexit__(kind, error, trace)

    async def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user; see `UserStore.create`."""
        user, new = make_user(id, permissions)
        async with self._lock:
            if not await self._records.add(user):
                raise taken_id(id)
            self._apply((*self._made, user))
        self._hints.send(Topic.USERS)
        return new

    async def rotate(self, id: str) -> NewUser:
        """Give a user another token; see `UserStore.rotate`."""
        token, token_hash = new_token()
        async with self._lock:
            user = await self._records.rotate(id, token_hash)
            if user is None:
                raise self._missing(id)
            self._apply((*self._others(id), user))
        self._hints.send(Topic.USERS)
        return NewUser(id=id, permissions=user.permissions, kind=UserKind.MADE, token=token)

    async def revoke(self, id: str) -> None:
        """Remove a user; see `UserStore.revoke`."""
        async with self._lock:
            if not await self._records.remove(id):
                raise self._missing(id)
            self._apply(self._others(id))
        self._hints.send(Topic.USERS)

    def _missing(self, id: str) -> DownloadError:
        if self._known.find_kind(id) is UserKind.FIRST:
            return InvalidStateError(f"{id} is the first user here; remove the file token of the state directory")
        return unknown_user(id, "the records")

    def _others(self, id: str) -> tuple[UserConfig, ...]:
        return tuple(user for user in self._made if user.id != id)

    def _apply(self, users: Sequence[UserConfig]) -> None:
        # In the order of the records.
        users = tuple(sorted(users, key=lambda user: user.id))
        if users != self._made:
            self._made = users
            self._known.replace_made(users)
            log.info("shared_users_changed", users=len(users))

    async def _read(self) -> None:
        async with self._lock:
            self._apply(await self._records.list())

    async def _move_file(self) -> None:
        """Move the users of the state directory to the records."""
        while users := await asyncio.to_thread(claim_users, self._state_dir):
            known = {user.id: user for user in await self._records.list()}
            refused = [user.id for user in users if known.get(user.id) != user and not await self._records.add(user)]
            file = await asyncio.to_thread(retire_users, self._state_dir)
            if refused:
                reason = "other users of the records have their ids or tokens"
                log.warning("users_not_added", ids=refused, reason=reason, file=str(file))
            log.info("users_moved_to_records", users=len(users) - len(refused), file=str(file))
            self._hints.send(Topic.USERS)
