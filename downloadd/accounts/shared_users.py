"""Users that several nodes share: in their records, with a poll and hints for the changes of other nodes."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from downloadd.accounts.user_file import UserFiles, read_users, retire_users, stat_user_files
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
from downloadd.errors import DownloadError, StartupError
from downloadd.records.hints import Hints, Topic
from downloadd.records.users import UserRecords

log = structlog.get_logger()

POLL_SECONDS: Final = 1.0
"""Seconds between two reads of the users, without hints."""


class SharedUsers:
    """`UserStore` of several nodes. Opens and closes with `async with`.

    Users in `users.toml` of the state directory, from a time without other nodes or made while the daemon did not run,
    are moved to the records. While these are unavailable, the users stay as they were.

    Raises:
        StartupError: on entering, the state directory cannot be used.
        StoreUnavailableError: on entering, the records cannot be used.
    """

    def __init__(
        self, records: UserRecords, hints: Hints, state_dir: Path, apply: Callable[[Sequence[UserConfig]], None]
    ) -> None:
        """Take the parts; `apply` replaces the users on this node."""
        self._records = records
        self._hints = hints
        self._state_dir = state_dir
        self._apply = apply
        self._applied: tuple[UserConfig, ...] = ()
        # State of the files of users when they were moved last.
        self._moved: UserFiles = ()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        hints.subscribe(Topic.USERS, self._handle_hint)

    async def __aenter__(self) -> Self:
        await self._refresh()
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="users")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def list(self) -> Sequence[UserDescription]:
        """Return all of them; see `UserStore.list`."""
        return [describe_user(user, UserKind.MADE) for user in await self._records.list()]

    async def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user; see `UserStore.create`."""
        user, new = make_user(id, permissions)
        if not await self._records.add(user):
            raise taken_id(id)
        await self._publish()
        return new

    async def rotate(self, id: str) -> NewUser:
        """Give a user another token; see `UserStore.rotate`."""
        token, token_hash = new_token()
        user = await self._records.rotate(id, token_hash)
        if user is None:
            raise unknown_user(id, "the records")
        await self._publish()
        return NewUser(id=id, permissions=user.permissions, kind=UserKind.MADE, token=token)

    async def revoke(self, id: str) -> None:
        """Remove a user; see `UserStore.revoke`."""
        if not await self._records.remove(id):
            raise unknown_user(id, "the records")
        await self._publish()

    async def _publish(self) -> None:
        """Apply a change on this node, and let the others read it."""
        self._hints.send(Topic.USERS)
        # The change is durable; what cannot be read now is read by the watch.
        with suppress(DownloadError):
            await self._read()

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._refresh()
            except DownloadError as error:
                # The records log that they are unavailable.
                log.debug("users_not_read", detail=error.detail)
            except StartupError as error:
                log.error("users_not_moved", mistakes=error.message.splitlines())

    async def _refresh(self) -> None:
        found = await asyncio.to_thread(stat_user_files, self._state_dir)
        if found != self._moved:
            # Before the move, so that a malformed file is reported once.
            self._moved = found
            await self._move_file()
        await self._read()

    async def _read(self) -> None:
        async with self._lock:
            users = tuple(await self._records.list())
            if users != self._applied:
                self._applied = users
                self._apply(users)
                log.info("shared_users_changed", users=len(users))

    async def _move_file(self) -> None:
        """Move the users of the state directory to the records."""
        users = await asyncio.to_thread(read_users, self._state_dir)
        if not users:
            return
        known = {user.id: user for user in await self._records.list()}
        refused = [user.id for user in users if known.get(user.id) != user and not await self._records.add(user)]
        if refused:
            log.warning("users_not_added", ids=refused, reason="other users of the records have their ids or tokens")
        if await asyncio.to_thread(retire_users, self._state_dir, users):
            log.info("users_moved_to_records", users=len(users) - len(refused))
            self._hints.send(Topic.USERS)
        else:
            # It has changed meanwhile.
            self._moved = ()

    def _handle_hint(self, ids: Sequence[str]) -> None:
        self._wake.set()
