"""What the API asks of the rooms below it: the manager's face, and the counters of requests."""

from collections.abc import Callable, Sequence
from typing import Protocol

from downloadd.download import Download, Snapshot
from downloadd.manager.intake import Order
from downloadd.manager.manager import Amendment, Started
from downloadd.metrics import Moment
from downloadd.records.protocol import ActiveFilter, HistoryFilter, StoredAnswer


class Engine(Protocol):
    """The manager, as the API sees it."""

    async def start(
        self,
        orders: Sequence[Order],
        *,
        user: str,
        request_id: str | None = None,
        answer: Callable[[Sequence[Download]], StoredAnswer | None] | None = None,
    ) -> Started:
        """Writes orders down; `answer` is called before that, and what it returns is kept for repeated requests."""
        ...

    async def wait(self, id: str, seconds: float) -> Download:
        """The row once the download has ended, or as it is when the time is up."""
        ...

    async def cancel(self, id: str) -> Download:
        """Cancels an active download."""
        ...

    async def pause(self, id: str) -> Snapshot:
        """Pauses an active download."""
        ...

    async def resume(self, id: str) -> Snapshot:
        """Lets a paused download go on."""
        ...

    async def retry(self, id: str) -> Snapshot:
        """Tries an ended download again, or a retrying one at once."""
        ...

    async def amend(self, id: str, amendment: Amendment) -> Snapshot:
        """Changes what users may change."""
        ...

    async def get(self, id: str) -> Snapshot:
        """One download, active or ended."""
        ...

    async def active(self, wanted: ActiveFilter) -> list[Snapshot]:
        """Downloads that have not ended, oldest first."""
        ...

    async def history(self, wanted: HistoryFilter) -> list[Download]:
        """A page of ended downloads."""
        ...

    async def ended_since(self, ended_seq: int, limit: int) -> list[Download]:
        """What ended after that one, oldest end first."""
        ...

    def retry_after(self) -> int:
        """Seconds that a client is asked to wait when the queue is full."""
        ...


class RequestMetrics(Protocol):
    """The metrics, as the API sees them."""

    def request(self, method: str, status: int, seconds: float) -> None:
        """Counts one request that was answered after so many seconds."""
        ...

    def login_failed(self) -> None:
        """Counts wrong credentials."""
        ...

    def render(self, moment: Moment, accept: str = "") -> tuple[bytes, str]:
        """The exposition, with what is so now, in what `Accept` asks for; and its media type."""
        ...
