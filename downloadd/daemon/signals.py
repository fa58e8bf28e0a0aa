"""Signals: SIGTERM and SIGINT stop the daemon, a second one ends it at once; SIGHUP reloads the configuration."""

import asyncio
import signal
from collections.abc import Callable
from enum import Enum
from typing import Final, Self

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
RELOAD_SIGNAL: Final = signal.SIGHUP


class SignalRequest(Enum):
    """Request that a signal stands for."""

    STOP = "stop"
    RELOAD = "reload"


class Signals:
    """Handlers for the signals of the running event loop, which keep requests until they are read."""

    def __init__(
        self, *, on_stop: Callable[[signal.Signals], None], on_repeated_stop: Callable[[signal.Signals], None]
    ) -> None:
        """Call `on_stop` in the loop at the first signal to stop, `on_repeated_stop` at every later one."""
        self._on_stop = on_stop
        self._on_repeated_stop = on_repeated_stop
        self._requested = asyncio.Event()
        self._stopping = False

    async def next_request(self) -> SignalRequest:
        """Return the next request. Reloads during a reload become one; after a stop every request is a stop."""
        await self._requested.wait()
        if self._stopping:
            return SignalRequest.STOP
        self._requested.clear()
        return SignalRequest.RELOAD

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(RELOAD_SIGNAL, self._requested.set)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (*STOP_SIGNALS, RELOAD_SIGNAL):
            loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping:
            self._on_repeated_stop(number)
            return
        self._stopping = True
        self._requested.set()
        self._on_stop(number)
