"""Stopwatch for promises in seconds that hold on a machine with other load too."""

import os
import time
from pathlib import Path


class Stopwatch:
    """Seconds that processes took, without those in which their threads were ready and had no CPU.

    The kernel counts the latter for each thread (`/proc/<pid>/task/<tid>/schedstat`). A process that waits for anything
    else, a timeout or a lock, is not excused. Without these counters the stopwatch is a plain one.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = {os.getpid(), *pids}
        self._delays = self._thread_delays()
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start, on the clock of the machine."""
        return time.monotonic() - self._start

    @property
    def seconds(self) -> float:
        """Seconds since the start, without the delays of the threads."""
        elapsed = self.elapsed
        delays = self._thread_delays()
        return elapsed - sum(delay - self._delays.get(thread, 0.0) for thread, delay in delays.items())

    def _thread_delays(self) -> dict[str, float]:
        """Return the seconds that each thread has waited for a CPU."""
        delays: dict[str, float] = {}
        for pid in self._pids:
            for counters in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                # A thread or a process may end at any moment.
                try:
                    delays[str(counters)] = int(counters.read_text().split()[1]) / 1e9
                except (OSError, IndexError):
                    continue
        return delays
