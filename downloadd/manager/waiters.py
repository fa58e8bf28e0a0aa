"""Callers that wait for a download, by its id."""

import asyncio

from downloadd.download import Download


class Waiters:
    """Futures for the row of a download, each of which is woken once."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[asyncio.Future[Download]]] = {}

    def __len__(self) -> int:
        """Return the number of downloads that are waited for."""
        return len(self._waiters)

    def add(self, id: str) -> asyncio.Future[Download]:
        """Return a future for the row with which `notify` is called next for a download."""
        waiter: asyncio.Future[Download] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(id, []).append(waiter)
        return waiter

    def remove(self, id: str, waiter: asyncio.Future[Download]) -> None:
        """Forget a future of `add`."""
        waiters = self._waiters.get(id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(id, None)

    def notify(self, row: Download) -> None:
        """Wake the callers that wait for this download."""
        for waiter in self._waiters.pop(row.id, ()):
            if not waiter.done():
                waiter.set_result(row)
