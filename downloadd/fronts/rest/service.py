"""What the API asks of the rooms below it: the manager's face, and the counters of requests."""

from collections.abc import Callable, Sequence
from typing import Protocol

from downloadd.download import Download, Snapshot
from downloadd.download_request import DownloadRequest
from downloadd.manager.manager import DownloadChange, StartResult
from downloadd.metrics import GaugeSnapshot
from downloadd.records.protocol import ActiveFilter, HistoryFilter, StoredResponse


class DownloadService(Protocol):
    """The manager, as the API sees it."""

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: Callable[[Sequence[Download]], StoredResponse | None] | None = None,
    ) -> StartResult:
        """Writes requests down; `make_stored_response` is called before that, and what it returns is kept for repeated requests."""
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

    async def amend(self, id: str, changes: DownloadChange) -> Snapshot:
        """Changes what users may change."""
        ...

    async def get(self, id: str) -> Snapshot:
        """One download, active or ended."""
        ...

    async def active(self, criteria: ActiveFilter) -> list[Snapshot]:
        """Downloads that have not ended, oldest first."""
        ...

    async def history(self, criteria: HistoryFilter) -> list[Download]:
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

    def render(self, gauges: GaugeSnapshot, accept: str = "") -> tuple[bytes, str]:
        """The exposition, with what is so now, in what `Accept` asks for; and its media type."""
        ...
