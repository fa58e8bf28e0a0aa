"""Admission over several nodes in memory, which fails on demand."""

from collections.abc import Mapping, Sequence

from support.sample_downloads import sample_download

from downloadd.download import Download
from downloadd.errors import StoreUnavailableError
from downloadd.records.admission import (
    FIRST_ROUTE,
    Backlog,
    BacklogRequest,
    ClaimRequest,
    DelayedCount,
    SlotHolding,
)
from downloadd.records.protocol import WaitingDownload
from downloadd.states import State


class FakeAdmission:
    """Fake of `AdmissionRecords`.

    Attributes:
        waiting: what may start.
        used: slots of other nodes, by origin.
        held: the slots of this node, by download and origin.
        failures: calls that fail, from the next one on.
        requests: the reads.
    """

    def __init__(self) -> None:
        self.waiting: list[WaitingDownload] = []
        self.used: dict[str, int] = {}
        self.held: dict[tuple[int, str], int] = {}
        self.delayed = DelayedCount(retries=0, scheduled=0)
        self.failures = 0
        self.requests: list[BacklogRequest] = []

    async def read_backlog(self, request: BacklogRequest) -> Backlog:
        self.requests.append(request)
        self._fail()
        ready = [one for one in self.waiting if one.seq not in request.held] if request.max_routes else []
        return Backlog(ready=ready, next_route=FIRST_ROUTE, next_due=None, used=self.used, origins=())

    async def release_due(self, now: float) -> None: ...

    async def count_delayed(self) -> DelayedCount:
        return self.delayed

    async def claim(
        self, requests: Sequence[ClaimRequest], limits: Mapping[str, int], changes: Sequence[SlotHolding]
    ) -> list[Download]:
        self._fail()
        self._apply(changes)
        claimed = []
        for request in requests:
            if all(self._used(origin) + number <= limits[origin] for origin, number in request.slots.items()):
                self.held |= {(request.seq, origin): number for origin, number in request.slots.items()}
                self.waiting = [one for one in self.waiting if one.seq != request.seq]
                claimed.append(sample_download(request.seq, seq=request.seq, state=State.STARTING, epoch=1))
        return claimed

    async def acquire(self, holding: SlotHolding, limit: int, changes: Sequence[SlotHolding]) -> int:
        self._fail()
        self._apply(changes)
        before = self.held.get((holding.seq, holding.origin), 0)
        free = limit - self._used(holding.origin)
        number = self.held[holding.seq, holding.origin] = before + max(0, min(holding.number - before, free))
        return number

    async def free(self, changes: Sequence[SlotHolding]) -> None:
        self._fail()
        self._apply(changes)

    async def free_abandoned(self) -> None: ...

    async def record_targets(self, targets: Mapping[int, str]) -> None:
        self._fail()

    def _used(self, origin: str) -> int:
        own = sum(number for (_, held), number in self.held.items() if held == origin)
        return own + self.used.get(origin, 0)

    def _apply(self, changes: Sequence[SlotHolding]) -> None:
        for one in changes:
            self.held[one.seq, one.origin] = one.number
        self.held = {key: number for key, number in self.held.items() if number}

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("away")
