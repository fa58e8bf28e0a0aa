"""Hints between nodes by LISTEN and NOTIFY, over a connection of their own.

A transaction that notifies takes a lock of the whole server at its commit, so that no transaction with rows does: each
hint is sent after the commit that it is about, in a transaction that writes nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import asyncpg
import structlog

from downloadd.records.hints import HintListener, PendingHints, Topic, decode_hint, encode_hint
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.postgres_errors import DRIVER_ERRORS, storage_error

log = structlog.get_logger()

CHANNEL: Final = "downloadd"
MIN_INTERVAL_SECONDS: Final = 0.02
"""Seconds between two messages, at least: what changes meanwhile shares the next one."""
CHECK_SECONDS: Final = 5.0
"""Seconds after which a connection without messages is checked, and that it has for the answer."""
RETRY_SECONDS: Final = 0.5
"""Seconds between two attempts to connect."""
_NOTIFY: Final = "SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message"
# Nothing is lost with a hint.
_SETTINGS: Final = {"synchronous_commit": "off"}


class PostgresHints:
    """`Hints` over a connection that is made again after it was lost. Opens and closes with `async with`."""

    def __init__(self, address: DatabaseAddress, *, check_seconds: float = CHECK_SECONDS) -> None:
        """Make a closed channel; `check_seconds` is the time after which a silent connection is checked."""
        self._address = address
        self._check_seconds = check_seconds
        self._session = uuid4().hex
        self._listeners: defaultdict[Topic, list[HintListener]] = defaultdict(list)
        self._pending = PendingHints()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # True after the loss was logged.
        self._is_lost = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._keep_connected(), name="hints")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def send(self, topic: Topic, ids: Sequence[str] = ()) -> None:
        """Send a hint to the other nodes soon; see `Hints.send`."""
        self._pending.add(topic, ids)
        self._wake.set()

    def subscribe(self, topic: Topic, listener: HintListener) -> None:
        """Call `listener` with the hints of other nodes; see `Hints.subscribe`."""
        self._listeners[topic].append(listener)

    async def _keep_connected(self) -> None:
        while True:
            try:
                connection = await self._address.connect(_SETTINGS)
                try:
                    await self._exchange(connection)
                finally:
                    connection.terminate()
            except DRIVER_ERRORS as error:
                if not self._is_lost:
                    self._is_lost = True
                    log.warning("hints_unavailable", detail=storage_error(error).detail)
            await asyncio.sleep(RETRY_SECONDS)

    async def _exchange(self, connection: asyncpg.Connection) -> None:
        """Receive and send hints until the connection is lost."""
        connection.add_termination_listener(self._handle_termination)
        async with asyncio.timeout(self._check_seconds):
            await connection.add_listener(CHANNEL, self._receive)
        if self._is_lost:
            self._is_lost = False
            log.warning("hints_available")
        # Some may have been missed.
        for topic in Topic:
            self._publish(topic, ())
        while not connection.is_closed():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_seconds):
                    await self._wake.wait()
            self._wake.clear()
            hints = self._pending.take()
            messages = [message for hint in hints.items() for message in encode_hint(self._session, *hint)]
            # Without messages it shows if the server answers still.
            async with asyncio.timeout(self._check_seconds):
                await connection.execute(_NOTIFY, CHANNEL, messages)
            await asyncio.sleep(MIN_INTERVAL_SECONDS)

    def _handle_termination(self, connection: Any) -> None:
        self._wake.set()

    def _receive(self, connection: Any, process: int, channel: str, message: Any) -> None:
        hint = decode_hint(str(message), self._session)
        if hint is not None:
            self._publish(*hint)

    def _publish(self, topic: Topic, ids: Sequence[str]) -> None:
        for listener in self._listeners[topic]:
            listener(ids)
