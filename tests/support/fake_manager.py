"""Manager without records, disk or network: downloads are in memory and change only when a test changes them."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace
from support.clocks import ManualClock
from support.downloads import with_fields
from support.exposition import ReadableSeries

from downloadd.config import DownloadsConfig
from downloadd.download import Download, Snapshot
from downloadd.download_request import DownloadRequest
from downloadd.errors import (
    ErrorCode,
    IdempotencyKeyReusedError,
    InvalidStateError,
    NotFoundError,
    QueueFullError,
    ShuttingDownError,
)
from downloadd.events import DownloadChanged, DownloadEnded, EventBus
from downloadd.manager.admission import admit, refuse
from downloadd.manager.protocol import DownloadChange, StartResult
from downloadd.manager.queue_report import OriginList, OriginStatus
from downloadd.metrics import GaugeSnapshot, RpcMetrics
from downloadd.policy.addresses import AddressRules
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.domains import DomainRules
from downloadd.policy.policy import Policy
from downloadd.records.protocol import ActiveFilter, HistoryFilter, StoredResponse
from downloadd.states import FINISHED, State


class FakeMetrics:
    """Fake metrics that record the calls; those of the RPC interface are real, in `series`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.failed_logins = 0
        self.series = ReadableSeries()
        self.rpc = RpcMetrics(self.series)

    def request(self, method: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.requests.append((method, status))

    def login_failed(self) -> None:
        self.failed_logins += 1

    def render(self, gauges: GaugeSnapshot, accept: str = "") -> tuple[bytes, str]:
        lines = "".join(f"{state} {count}\n" for state, count in gauges.active.items())
        return lines.encode(), accept or "text/plain; version=0.0.4; charset=utf-8"


class FakeManager:
    """Fake of `DownloadManager`.

    Attributes:
        queue_capacity: downloads that the queue can still take.
    """

    def __init__(self, bus: EventBus, clock: ManualClock, *, domains: tuple[str, ...] = ()) -> None:
        self.bus = bus
        self.clock = clock
        self.policy = Policy(domains=DomainRules(domains), addresses=AddressRules(()))
        self.downloads: dict[str, Download] = {}
        self.requests: list[DownloadRequest] = []
        self.applied_changes: list[DownloadChange] = []
        self.filters: list[ActiveFilter | HistoryFilter] = []
        self.stored_responses: dict[tuple[str, str], StoredResponse] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.queue_capacity = 1_000_000
        self.origin_statuses: list[OriginStatus] = []
        self.closing = False
        self.failure: Exception | None = None
        self.next_id: Callable[[], str] = lambda: str(uuid.uuid4())
        self._seq = 0
        self._ended_seq = 0
        self._changed = asyncio.Condition()

    # -- for tests -------------------------------------------------------------------------------------------------

    def add(self, download: Download) -> Download:
        """Add a download, as if it had been accepted, or had ended, now."""
        self._seq += 1
        download = replace(download, seq=self._seq)
        if download.state in FINISHED:
            self._ended_seq += 1
            download = with_fields(download, ended_seq=self._ended_seq)
            self.bus.record_ended_seq(self._ended_seq)
        self.downloads[download.id] = download
        return download

    async def set_state(self, id: str, state: State, **changes: object) -> Download:
        """Change the state of a download, and publish it."""
        before = self.downloads[id].state
        download = with_fields(self.downloads[id], state=state, **changes)
        if state in FINISHED:
            self._ended_seq += 1
            download = with_fields(download, ended_seq=self._ended_seq, end_time=int(self.clock.wall()))
        self.downloads[id] = download
        self.bus.publish(
            DownloadEnded(download=download, before=before)
            if state in FINISHED
            else DownloadChanged(snapshot=Snapshot(download=download), before=before)
        )
        async with self._changed:
            self._changed.notify_all()
        return download

    # -- `DownloadManager` ---------------------------------------------------------------------------------------------

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: Callable[[Sequence[Download]], StoredResponse | None] | None = None,
    ) -> StartResult:
        if self.closing:
            raise ShuttingDownError
        if self.failure is not None:
            raise self.failure
        self.requests.extend(requests)
        downloads = [self._admit(request, user) for request in requests]
        stored = make_stored_response(downloads) if make_stored_response is not None else None
        if stored is not None:
            first = self.stored_responses.setdefault((stored.user, stored.key), stored)
            if first.fingerprint != stored.fingerprint:
                raise IdempotencyKeyReusedError
            if first is not stored:
                return StartResult(replayed=first)
        return StartResult(downloads=[self.add(download) for download in downloads])

    async def preview(self, request: DownloadRequest, user: str) -> Download:
        return self._admit(request, user)

    def _admit(self, request: DownloadRequest, user: str) -> Download:
        download = admit(
            request,
            policy=self.policy,
            directories=DirectoryRules(),
            defaults=DownloadsConfig(),
            user=user,
            now=self.clock.wall(),
            id=request.id or self.next_id(),
        )
        if download.state not in FINISHED:
            if self.queue_capacity <= 0:
                return refuse(download, QueueFullError(0), now=self.clock.wall())
            self.queue_capacity -= 1
        return download

    async def wait(self, id: str, seconds: float) -> Download:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: self.downloads[id].state in FINISHED)
        except TimeoutError:
            pass
        return self.downloads[id]

    async def cancel(self, id: str) -> Download:
        self._require_active(id)
        return await self.set_state(id, State.CANCELLED, error=ErrorCode.CANCELLED, detail="cancelled by a user")

    async def pause(self, id: str) -> Snapshot:
        self._require_active(id)
        return Snapshot(download=await self.set_state(id, State.PAUSED), reason="paused by a user")

    async def resume(self, id: str) -> Snapshot:
        if self._get(id).state is not State.PAUSED:
            raise InvalidStateError("only a paused download can be resumed")
        return Snapshot(download=await self.set_state(id, State.QUEUED))

    async def retry(self, id: str, url: str | None = None) -> Snapshot:
        if url is not None:
            self.policy.check_url(url)
            self.applied_changes.append(DownloadChange(url=url))
        if self._get(id).state not in {State.FAILED, State.CANCELLED, State.SKIPPED}:
            raise InvalidStateError("there is nothing to retry")
        return Snapshot(download=await self.set_state(id, State.QUEUED, error=None, detail=None))

    async def amend(self, id: str, changes: DownloadChange) -> Snapshot:
        if changes.url is None:
            self._require_active(id)
        else:
            self.policy.check_url(changes.url)
        self.applied_changes.append(changes)
        return Snapshot(download=self._get(id))

    async def get(self, id: str) -> Snapshot:
        return self.snapshots.get(id) or Snapshot(download=self._get(id))

    async def active(self, criteria: ActiveFilter) -> list[Snapshot]:
        self.filters.append(criteria)
        rows = [
            row
            for row in sorted(self.downloads.values(), key=lambda row: row.seq)
            if row.state not in FINISHED
            and row.seq > criteria.after_seq
            and (criteria.directory is None or row.request.directory == criteria.directory)
            and (criteria.states is None or row.state in criteria.states)
        ]
        return [self.snapshots.get(row.id) or Snapshot(download=row) for row in rows[: criteria.limit]]

    def speed(self) -> float:
        return sum(snapshot.speed or 0.0 for snapshot in self.snapshots.values())

    async def counts(self) -> Mapping[State, int]:
        return Counter(download.state for download in self.downloads.values() if download.state not in FINISHED)

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        self.filters.append(criteria)
        before = criteria.before_ended_seq
        rows = [
            row
            for row in sorted(self.downloads.values(), key=lambda row: -(row.result.ended_seq or 0))
            if row.state in FINISHED
            and (before is None or (row.result.ended_seq or 0) < before)
            and (criteria.directory is None or row.request.directory == criteria.directory)
            and (criteria.state is None or row.state is criteria.state)
            and (criteria.has_part is None or (row.progress.part_name is not None) is criteria.has_part)
            and (
                criteria.contains is None
                or criteria.contains in row.filename
                or criteria.contains in row.request.redacted_url
            )
        ]
        return rows[: criteria.limit]

    async def origins(self, limit: int) -> OriginList:
        return OriginList(origins=self.origin_statuses[:limit], total=len(self.origin_statuses))

    async def ended_since(self, ended_seq: int, limit: int) -> list[Download]:
        rows = [
            row for row in self.downloads.values() if row.state in FINISHED and (row.result.ended_seq or 0) > ended_seq
        ]
        return sorted(rows, key=lambda row: row.result.ended_seq or 0)[:limit]

    def _get(self, id: str) -> Download:
        if id not in self.downloads:
            raise NotFoundError("no download has this id")
        return self.downloads[id]

    def _require_active(self, id: str) -> None:
        if self._get(id).state in FINISHED:
            raise InvalidStateError("only an active download can be changed")
