"""The last resort: ends the process when an orderly end takes too long."""

import os
import threading
from collections.abc import Callable


class ExitDeadline:
    """A clock that runs in a thread of its own, because what it guards against is a loop or a thread that hangs."""

    def __init__(self, before_exit: Callable[[], object]) -> None:
        """`before_exit` is called before the process ends, and must not take long."""
        self._before_exit = before_exit
        self._timer: threading.Timer | None = None

    def set(self, seconds: float, exit_status: int) -> None:
        """Lets the process live so many seconds from now; replaces an earlier deadline."""
        self.cancel()
        self._timer = threading.Timer(seconds, self.exit_now, (exit_status,))
        self._timer.daemon = True
        self._timer.name = "downloadd-deadline"
        self._timer.start()

    def cancel(self) -> None:
        """Takes the deadline back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def exit_now(self, exit_status: int) -> None:
        """Ends the process now, whatever else still runs."""
        self._before_exit()
        os._exit(exit_status)
