"""Event loop whose clock jumps to the next timer: minutes take milliseconds, under any other load."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, ParamSpec

P = ParamSpec("P")

ITERATION_SECONDS: Final = 1e-6
"""Seconds that each iteration of the loop takes; without them a wait below the resolution would repeat for ever."""


DELIVERY_SECONDS: Final = 1e-3
"""Real seconds that the kernel has to deliver bytes between sockets before the clock jumps: it may be busy."""


class _JumpingSelector(selectors.BaseSelector):
    """Selector that never waits for a timer: it moves its clock instead."""

    def __init__(self) -> None:
        self.now = 0.0
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._selector.select()
        # The loop has a socket of its own.
        has_sockets = len(self._selector.get_map()) > 1
        events = self._selector.select(DELIVERY_SECONDS if timeout > 0 and has_sockets else 0)
        self.now += ITERATION_SECONDS if events else max(timeout, ITERATION_SECONDS)
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._selector.get_map()

    def close(self) -> None:
        self._selector.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Event loop for code without threads and processes, because its clock does not wait for them."""

    def __init__(self) -> None:
        self._jumping_selector = _JumpingSelector()
        super().__init__(self._jumping_selector)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping_selector.now


class LoopClock:
    """Clock with the time of the running event loop, wall time too."""

    def wall(self) -> float:
        """Return the seconds of the loop."""
        return self.monotonic()

    def monotonic(self) -> float:
        """Return the seconds of the loop."""
        return asyncio.get_running_loop().time()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in a loop with a virtual clock."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
