"""Deadline for the end of the process, if an orderly end takes too long."""

import os
import threading
from collections.abc import Callable


class ExitDeadline:
    """Timer that ends the process from a thread of its own, because the event loop or another thread may hang."""

    def __init__(self, before_exit: Callable[[], object]) -> None:
        """Call `before_exit` before the process ends; it must return soon."""
        self._before_exit = before_exit
        self._timer: threading.Timer | None = None

    def set(self, seconds: float, exit_status: int) -> None:
        """End the process with `exit_status` after `seconds`; replaces an earlier deadline."""
        self.cancel()
        self._timer = threading.Timer(seconds, self.exit_now, (exit_status,))
        self._timer.daemon = True
        self._timer.name = "downloadd-deadline"
        self._timer.start()

    def cancel(self) -> None:
        """Cancel the deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def exit_now(self, exit_status: int) -> None:
        """End the process now, without waiting for threads."""
        self._before_exit()
        os._exit(exit_status)
