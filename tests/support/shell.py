"""Shell for the commands of the documentation."""

import queue
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support.waiting import CONDITION_TIMEOUT

ANSWER_TIMEOUT: Final = CONDITION_TIMEOUT
"""Seconds until a command must have printed its output."""


class Shell:
    """Shell that runs commands one after the other and returns the output of each."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=environment,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._count = 0

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def run(self, command: str, *, at_least: int = 0) -> str:
        """Return what the command prints; of one in the background, wait for so many lines."""
        self._count += 1
        mark = f"--- {self._count} is done ---"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\nprintf '\\n%s\\n' '{mark}'\n")
        self._process.stdin.flush()
        printed: list[str] = []
        marked = False
        while not marked or len([line for line in printed if line.strip()]) < at_least:
            line = self._lines.get(timeout=ANSWER_TIMEOUT)
            if line.strip() == mark:
                marked = True
            else:
                printed.append(line)
        return "".join(printed).strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        # Programs in the background end with the shell.
        with self._process.stdin as stdin:
            stdin.write("kill -9 $(jobs -p); wait\n")
        self._process.wait(ANSWER_TIMEOUT)
        self._reader.join(ANSWER_TIMEOUT)
        assert self._process.stdout is not None
        self._process.stdout.close()
