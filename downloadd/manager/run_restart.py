"""Changes of running downloads that a run cannot continue with: it is stopped, and another one begins in its slot."""

import asyncio
from collections.abc import Awaitable, Callable

from downloadd.download import Download

Change = Callable[[Download], Download]
"""Pure change of a row."""
Amend = Callable[[Change], Awaitable[tuple[Download, Download]]]
"""Applies a change durably; returns the row before and after."""


class RestartNeededError(Exception):
    """The download runs, and its requests would be others after the change."""


class RestartRequest:
    """Change that waits for the end of a run."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._result: asyncio.Future[tuple[Download, Download]] = asyncio.get_running_loop().create_future()

    async def wait(self) -> tuple[Download, Download]:
        """Return the row before and after the change, once it is durable; raise why it was not made."""
        return await self._result

    async def apply(self, amend: Amend) -> Download | None:
        """Make the change, also if its caller waits no longer; return the row, or None if it was refused."""
        try:
            changed = await amend(self._change)
        except Exception as error:
            # Raised in the task of the caller.
            self.refuse(error)
            return None
        if not self._result.done():
            self._result.set_result(changed)
        return changed[1]

    def refuse(self, error: Exception) -> None:
        """Raise an error where the change is waited for."""
        if not self._result.done():
            self._result.set_exception(error)
