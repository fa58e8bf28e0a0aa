"""Protocol of the records of downloads, independent of the database.

Each call that changes records returns after the change is durable: it survives a crash of the machine. Calls come from
the event loop and do not block it. Each call raises `StoreUnavailableError` while the database is locked, missing or
disconnected; it has changed nothing then, and may be repeated.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, Self

import msgspec

from downloadd.download import Download
from downloadd.import_operation import Driver
from downloadd.records.ends import EndListener
from downloadd.records.origins import OriginRecords
from downloadd.records.queue_places import QueueEntry
from downloadd.states import State

NO_DOWNLOADS: Final[Mapping[int, Download]] = MappingProxyType({})
NO_POSITIONS: Final[Mapping[int, int]] = MappingProxyType({})


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Response to a request with an `Idempotency-Key`, which is repeated for 24 hours."""

    user: str
    key: str
    fingerprint: bytes
    """Digest of the request; a request with another digest under the same key is refused."""
    status: int
    body: bytes
    created: float
    """Unix time."""


class AcceptResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `Records.accept`."""

    seqs: Sequence[int] = ()
    """The `seq` of each download, in order; empty if `replayed` is set."""
    placed: Mapping[int, QueueEntry] = {}
    """Places of the downloads with a position, and of others that had to change for them, by `seq`."""
    replayed: StoredResponse | None = None
    """The first response under the key; nothing was written then."""


class PartOwner(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that decide if a part file still belongs to its download."""

    state: State | None
    """None if the row is damaged, so that the owner of the part file is unknown."""
    epoch: int
    part_name: str | None
    superseded_name: str | None = None
    """Name of the superseded part file."""


class WaitingDownload(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a waiting download that the scheduler keeps in memory."""

    seq: int
    origin: str
    priority: int
    not_before: float | None = None
    """Unix time."""
    target: str | None = None
    """The origin that redirects led its last attempt to; None if they did not, or if that is not known."""
    place: float | None = None
    """As of `Control`; None for the place of its `seq`."""
    start_after: float | None = None
    """Unix time that its request states, before which it does not start."""
    user: str = ""
    """Id of its user."""

    @property
    def position(self) -> float:
        """Return the position among the downloads of its priority."""
        return self.seq if self.place is None else self.place

    @property
    def key(self) -> tuple[int, float, int]:
        """Return the key by which waiting downloads are sorted; the smallest starts first."""
        return -self.priority, self.position, self.seq

    @classmethod
    def of(cls, row: Download, *, not_before: float | None, target: str | None = None) -> Self:
        """Return the fields of a row; `not_before` in place of that of the row."""
        return cls(
            seq=row.seq,
            origin=row.progress.origin,
            priority=row.control.priority,
            not_before=not_before,
            target=target,
            place=row.control.place,
            start_after=row.control.not_before,
            user=row.user,
        )


class ActiveFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filter of a listing of active downloads, oldest first."""

    directory: str | None = None
    states: frozenset[State] | None = None
    """States of the rows; None for every active state. A run's own, finer state is not in its row."""
    ids: Sequence[str] | None = None
    """Selects among these downloads; None for all."""
    after_seq: int = 0
    limit: int = 10_000


class HistoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filter of a page of finished downloads, newest end first."""

    directory: str | None = None
    state: State | None = None
    contains: str | None = None
    """Case-insensitive substring of the redacted URL or the file name."""
    before_ended_seq: int | None = None
    after_ended_seq: int | None = None
    """Selects later ends, and orders the page oldest first."""
    ended_before: int | None = None
    """Unix time; selects downloads that ended earlier."""
    has_part: bool | None = None
    """True selects downloads whose part file is kept, False the others."""
    limit: int = 100


class EndedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a finished download that its removal needs."""

    seq: int
    id: str
    ended_seq: int
    end_time: int
    """Unix time."""
    directory: str
    part_directory: str
    """Directory of its part files."""
    part_name: str | None = None
    """The part file that was kept for a retry."""
    superseded_name: str | None = None
    """The superseded part file that was kept beside it."""


class Records(Protocol):
    """Durable records of every download.

    A damaged row is left out of listings, pages and chunks, and is never claimed or changed; a call for its id raises
    `StorageError`.

    Attributes:
        origins: the records of origins that are not healthy.
        is_shared: True if other processes write to these records too.
    """

    origins: OriginRecords
    is_shared: bool

    def set_end_listener(self, listener: EndListener) -> None:
        """Call `listener` on the event loop with the ends of each operation, as soon as they are durable.

        It is called before the caller of the operation and those of later ones continue.
        """
        ...

    async def accept(
        self,
        downloads: Sequence[Download],
        response: StoredResponse | None = None,
        *,
        positions: Mapping[int, int] = NO_POSITIONS,
        driver: Driver | None = None,
    ) -> AcceptResult:
        """Insert new downloads, all or none, in one transaction.

        On return, all of them and `response` are durable. Refused ones (state `failed`) go to the history at once.
        With a `response`, its key is looked up in the same transaction: if it is known and not older than 24 hours,
        nothing is written and the first response is returned. `positions` has the index in the waiting list for some of
        the downloads, by their number; others stand at its end. `driver` is that of the import operation that they
        belong to.

        Raises:
            IdempotencyKeyReusedError: the key is known with another fingerprint.
            ImportFencedError: the driver does not hold its operation.
        """
        ...

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        """Assign waiting downloads to runs: state by `Trigger.CLAIM`, `epoch` and `attempt` one higher.

        On return, the new epochs are durable. Downloads that do not wait, or that a user wants paused or cancelled,
        are left out.
        """
        ...

    async def save(self, download: Download) -> Download | None:
        """Write the fields of the run with the epoch `download.epoch`, and return the row as it is now.

        On return, the fields are durable. Those that users may change meanwhile, `control` and parts of `request`, are
        not written but returned. A finished state gets its `ended_seq`.
        None: the row has another epoch or is finished, so that the run must stop.
        """
        ...

    async def save_all(self, downloads: Sequence[Download]) -> list[Download | None]:
        """Write the fields of several runs in one transaction, as `save` does; return the result for each."""
        ...

    async def amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download] | None:
        """Apply a pure `change` to a row in one transaction; return the row before and after, None if unknown.

        On return, all fields are durable. If `change`, which runs in another thread, raises, nothing is written and
        the exception is raised here.
        """
        ...

    async def get(self, id: str) -> Download | None:
        """Return a download, active or finished."""
        ...

    async def active(self, criteria: ActiveFilter, known: Mapping[int, Download] = NO_DOWNLOADS) -> list[Download]:
        """Return a listing of active downloads, oldest first.

        Downloads whose `seq` is in `known` are taken from there instead of read.
        """
        ...

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        """Return a page of finished downloads."""
        ...

    async def ended_rows(self, criteria: HistoryFilter) -> list[EndedRow]:
        """Return a page of finished downloads like `history`, without the fields that a removal does not need."""
        ...

    async def ended_seq_of_newest(self, number: int) -> int | None:
        """Return the `ended_seq` of the finished download that has `number` newer ones; None if there is none."""
        ...

    async def remove_ended(self, rows: Sequence[EndedRow]) -> list[EndedRow]:
        """Remove finished downloads, in one transaction; return those that were still as in `rows`.

        On return, the removal is durable. A download that was retried since it was read stays. Imports count a removed
        download as what it was.
        """
        ...

    async def last_removal(self) -> int:
        """Return the newest `ended_seq` of the history just before its last removal; 0 without a removal."""
        ...

    async def counts(self) -> dict[State, int]:
        """Return the number of downloads in each active state; states without downloads may be missing.

        Of very many, the number may be some seconds old.
        """
        ...

    async def ended_count(self) -> int:
        """Return the number of downloads in the history; of very many, it may be some seconds old."""
        ...

    async def last_ended_seq(self) -> int:
        """Return the newest `ended_seq`; 0 if the history is empty."""
        ...

    async def created_at(self) -> float | None:
        """Return the Unix time at which these records were created; None if they are too old to have it recorded.

        A part file that is older may belong to other records, even if its download is unknown here.
        """
        ...

    def running_rows(self) -> AsyncIterator[Download]:
        """Return the rows in a running state that no living node runs, for recovery."""
        ...

    def waiting(self) -> AsyncIterator[Sequence[WaitingDownload]]:
        """Return all waiting downloads in chunks of constant memory, for the dispatcher at the start."""
        ...

    async def part_owners(self, ids: Sequence[str]) -> dict[str, PartOwner]:
        """Return the part files that the owners in `ids` may have; ended downloads without a part are left out.

        An owner is a download, or an import operation that is not finished, which may write a file in its epoch.
        """
        ...
