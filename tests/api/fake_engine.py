"""A manager without records, disk or network: downloads live in memory and move only when a test moves them."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from downloads import with_fields
from msgspec.structs import replace

from downloadd.config import DownloadsConfig
from downloadd.download import Download, Snapshot
from downloadd.errors import (
    ErrorCode,
    IdempotencyKeyReusedError,
    InvalidStateError,
    NotFoundError,
    QueueFullError,
    ShuttingDownError,
)
from downloadd.events import DownloadChanged, DownloadEnded, EventBus
from downloadd.manager.intake import Order, accept_order, refuse
from downloadd.manager.manager import Amendment, Started
from downloadd.metrics import Moment
from downloadd.policy.addresses import AddressRules
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.domains import DomainRules
from downloadd.policy.policy import Policy
from downloadd.records.protocol import ActiveFilter, HistoryFilter, StoredAnswer
from downloadd.states import ENDED, State


class FakeClock:
    """A clock whose hands a test moves."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.now = wall

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class FakeMetrics:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.failed_logins = 0

    def request(self, method: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.requests.append((method, status))

    def login_failed(self) -> None:
        self.failed_logins += 1

    def render(self, moment: Moment, accept: str = "") -> tuple[bytes, str]:
        lines = "".join(f"{state} {count}\n" for state, count in moment.active.items())
        return lines.encode(), accept or "text/plain; version=0.0.4; charset=utf-8"


class FakeEngine:
    """Implements the API's `Engine`. `room` is what the queue still takes."""

    def __init__(self, bus: EventBus, clock: FakeClock, *, domains: tuple[str, ...] = ()) -> None:
        self.bus = bus
        self.clock = clock
        self.policy = Policy(domains=DomainRules(domains), addresses=AddressRules(()))
        self.downloads: dict[str, Download] = {}
        self.orders: list[Order] = []
        self.amendments: list[Amendment] = []
        self.filters: list[ActiveFilter | HistoryFilter] = []
        self.answers: dict[tuple[str, str], StoredAnswer] = {}
        self.live: dict[str, Snapshot] = {}
        self.room = 1_000_000
        self.closing = False
        self.breaks: Exception | None = None
        self.next_id: Callable[[], str] = lambda: str(uuid.uuid4())
        self._seq = 0
        self._ended_seq = 0
        self._moved = asyncio.Condition()

    # -- what tests do -------------------------------------------------------------------------------------------------

    def put(self, download: Download) -> Download:
        """Knows a download, as if it had been accepted, or had ended, now."""
        self._seq += 1
        download = replace(download, seq=self._seq)
        if download.state in ENDED:
            self._ended_seq += 1
            download = with_fields(download, ended_seq=self._ended_seq)
        self.downloads[download.id] = download
        return download

    async def move(self, id: str, state: State, **changes: object) -> Download:
        """Puts a download into another state and tells everybody."""
        download = with_fields(self.downloads[id], state=state, **changes)
        if state in ENDED:
            self._ended_seq += 1
            download = with_fields(download, ended_seq=self._ended_seq, end_time=int(self.clock.wall()))
        self.downloads[id] = download
        self.bus.publish(
            DownloadEnded(download=download)
            if state in ENDED
            else DownloadChanged(snapshot=Snapshot(download=download))
        )
        async with self._moved:
            self._moved.notify_all()
        return download

    # -- the manager's face --------------------------------------------------------------------------------------------

    async def start(
        self,
        orders: Sequence[Order],
        *,
        user: str,
        request_id: str | None = None,
        answer: Callable[[Sequence[Download]], StoredAnswer | None] | None = None,
    ) -> Started:
        if self.closing:
            raise ShuttingDownError
        if self.breaks is not None:
            raise self.breaks
        self.orders.extend(orders)
        downloads = [self._judge(order, user) for order in orders]
        stored = answer(downloads) if answer is not None else None
        if stored is not None:
            first = self.answers.setdefault((stored.user, stored.key), stored)
            if first.fingerprint != stored.fingerprint:
                raise IdempotencyKeyReusedError
            if first is not stored:
                return Started(replayed=first)
        return Started(downloads=[self.put(download) for download in downloads])

    def _judge(self, order: Order, user: str) -> Download:
        download = accept_order(
            order,
            policy=self.policy,
            directories=DirectoryRules(),
            defaults=DownloadsConfig(),
            user=user,
            now=self.clock.wall(),
            id=self.next_id(),
        )
        if download.state is State.QUEUED:
            if self.room <= 0:
                return refuse(download, QueueFullError(0, retry_after=30), now=self.clock.wall())
            self.room -= 1
        return download

    async def wait(self, id: str, seconds: float) -> Download:
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.downloads[id].state in ENDED)
        except TimeoutError:
            pass
        return self.downloads[id]

    async def cancel(self, id: str) -> Download:
        self._require_active(id)
        return await self.move(id, State.CANCELLED, error=ErrorCode.CANCELLED, detail="cancelled by a user")

    async def pause(self, id: str) -> Snapshot:
        self._require_active(id)
        return Snapshot(download=await self.move(id, State.PAUSED), reason="paused by a user")

    async def resume(self, id: str) -> Snapshot:
        if self._get(id).state is not State.PAUSED:
            raise InvalidStateError("only a paused download can be resumed")
        return Snapshot(download=await self.move(id, State.QUEUED))

    async def retry(self, id: str) -> Snapshot:
        if self._get(id).state not in {State.FAILED, State.CANCELLED, State.SKIPPED}:
            raise InvalidStateError("there is nothing to retry")
        return Snapshot(download=await self.move(id, State.QUEUED, error=None, detail=None))

    async def amend(self, id: str, amendment: Amendment) -> Snapshot:
        self._require_active(id)
        if amendment.url is not None:
            self.policy.judge(amendment.url)
        self.amendments.append(amendment)
        return Snapshot(download=self._get(id))

    async def get(self, id: str) -> Snapshot:
        return self.live.get(id) or Snapshot(download=self._get(id))

    async def active(self, wanted: ActiveFilter) -> list[Snapshot]:
        self.filters.append(wanted)
        rows = [
            row
            for row in sorted(self.downloads.values(), key=lambda row: row.seq)
            if row.state not in ENDED
            and row.seq > wanted.after_seq
            and (wanted.directory is None or row.request.directory == wanted.directory)
            and (wanted.states is None or row.state in wanted.states)
        ]
        return [self.live.get(row.id) or Snapshot(download=row) for row in rows[: wanted.limit]]

    async def counts(self) -> Mapping[State, int]:
        return Counter(download.state for download in self.downloads.values() if download.state not in ENDED)

    async def history(self, wanted: HistoryFilter) -> list[Download]:
        self.filters.append(wanted)
        before = wanted.before_ended_seq
        rows = [
            row
            for row in sorted(self.downloads.values(), key=lambda row: -(row.result.ended_seq or 0))
            if row.state in ENDED
            and (before is None or (row.result.ended_seq or 0) < before)
            and (wanted.directory is None or row.request.directory == wanted.directory)
            and (wanted.state is None or row.state is wanted.state)
            and (
                wanted.contains is None
                or wanted.contains in row.filename
                or wanted.contains in row.request.redacted_url
            )
        ]
        return rows[: wanted.limit]

    async def ended_since(self, ended_seq: int, limit: int) -> list[Download]:
        rows = [
            row for row in self.downloads.values() if row.state in ENDED and (row.result.ended_seq or 0) > ended_seq
        ]
        return sorted(rows, key=lambda row: row.result.ended_seq or 0)[:limit]

    def retry_after(self) -> int:
        return 30

    def _get(self, id: str) -> Download:
        if id not in self.downloads:
            raise NotFoundError("no download has this id")
        return self.downloads[id]

    def _require_active(self, id: str) -> None:
        if self._get(id).state in ENDED:
            raise InvalidStateError("only an active download can be changed")
