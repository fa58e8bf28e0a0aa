"""The last resort: ends the process when an orderly end takes too long."""

import os
import threading
from collections.abc import Callable


class Deadline:
    """A clock that runs in a thread of its own, because what it guards against is a loop or a thread that hangs."""

    def __init__(self, last_words: Callable[[], object]) -> None:
        """`last_words` is called before the process ends, and must not take long."""
        self._last_words = last_words
        self._timer: threading.Timer | None = None

    def set(self, seconds: float, exit_status: int) -> None:
        """Lets the process live so many seconds from now; replaces an earlier deadline."""
        self.cancel()
        self._timer = threading.Timer(seconds, self.end, (exit_status,))
        self._timer.daemon = True
        self._timer.name = "downloadd-deadline"
        self._timer.start()

    def cancel(self) -> None:
        """Takes the deadline back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self, exit_status: int) -> None:
        """Ends the process now, whatever else still runs."""
        self._last_words()
        os._exit(exit_status)
