"""The Records seam: what may be asked of the store, whichever database stands behind it.

Every call that changes something returns after the change is durable. Calls may come from the event loop only; none
blocks it. Each raises `StoreUnavailableError` while the store is locked, gone or disconnected; it has changed nothing
then, and may be asked again.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from downloadd.download import Download
from downloadd.states import State

NO_DOWNLOADS: Final[Mapping[int, Download]] = MappingProxyType({})
"""No downloads that are known without being read."""


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request that carried an `Idempotency-Key`, kept to be given again for 24 hours."""

    user: str
    key: str
    fingerprint: bytes
    """A digest of the request; another one under the same key is a mistake of the client."""
    status: int
    body: bytes
    created: float
    """Unix time."""


class AcceptResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an `accept`."""

    seqs: Sequence[int] = ()
    """One per download, in order; empty when `replayed`."""
    replayed: StoredResponse | None = None
    """The first answer under this key; nothing was written then."""


class PartOwner(msgspec.Struct, frozen=True, kw_only=True):
    """What decides whether a part file still belongs to its download."""

    state: State | None
    """None: the row cannot be read, so that nobody knows what belongs to it."""
    epoch: int
    part_name: str | None


class WaitingDownload(msgspec.Struct, frozen=True, kw_only=True):
    """The little that is kept in memory of a download that waits for its turn."""

    seq: int
    host: str
    priority: int
    not_before: float | None = None
    """Unix time."""


class ActiveFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which downloads a listing shows, oldest first."""

    directory: str | None = None
    states: frozenset[State] | None = None
    """None: every active state. The states are those of the rows; a run's finer state is not in them."""
    after_seq: int = 0
    limit: int = 10_000


class HistoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which ended downloads a page of history shows, newest end first."""

    directory: str | None = None
    state: State | None = None
    contains: str | None = None
    """Case-insensitive substring of the shown URL or the file name."""
    before_ended_seq: int | None = None
    after_ended_seq: int | None = None
    """With this, the page is oldest first: what ended since."""
    limit: int = 100


class Records(Protocol):
    """The durable truth about every download.

    A row that is damaged, so that it cannot be read, is left out of listings, pages and chunks, and never claimed or
    changed; who asks for it by its id gets a `StorageError`.
    """

    async def accept(self, downloads: Sequence[Download], response: StoredResponse | None = None) -> AcceptResult:
        """Writes new downloads down, all or none, in one transaction.

        Refused ones (state `failed`) go straight to history. With a `response`, its key is looked up in the same
        transaction: known and not older than 24 hours means that nothing is written and the first answer returns.

        Raises:
            IdempotencyKeyReusedError: the key is known with another fingerprint.
        """
        ...

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        """Gives waiting downloads to runs: state by `Trigger.CLAIM`, `epoch` and `attempt` one higher.

        Those that no longer wait or that a user wants paused or cancelled are left out.
        """
        ...

    async def save(self, download: Download) -> Download | None:
        """Writes the fields of the run that holds `download.epoch`, and returns the row as it is now.

        The fields that users may change are not written but returned as they are. An ended state gets its
        `ended_seq`. None: the row has another epoch or has ended, and this run must stop and touch nothing.
        """
        ...

    async def amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download] | None:
        """Applies a pure `change` to a row in one transaction; returns the row before and after, None if unknown.

        Writes all fields. What `change` raises is raised here and nothing is written. It runs in another thread.
        """
        ...

    async def get(self, id: str) -> Download | None:
        """One download, active or ended."""
        ...

    async def active(self, criteria: ActiveFilter, known: Mapping[int, Download] = NO_DOWNLOADS) -> list[Download]:
        """A listing of downloads that have not ended, oldest first.

        Which ones is looked up; those whose `seq` is in `known` are then taken from there instead of read.
        """
        ...

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        """A page of ended downloads."""
        ...

    async def counts(self) -> dict[State, int]:
        """How many downloads are in each active state; states that none is in may be left out."""
        ...

    async def last_ended_seq(self) -> int:
        """The newest `ended_seq`; 0 for an empty history."""
        ...

    async def created_at(self) -> float | None:
        """When these records were begun (Unix time), empty; None: so long ago that nobody wrote it down.

        What is older than that is not theirs, even if they do not know it: other records may.
        """
        ...

    def running_rows(self) -> AsyncIterator[Download]:
        """Rows in a running state, for recovery at start, when nothing can be running."""
        ...

    def waiting(self) -> AsyncIterator[Sequence[WaitingDownload]]:
        """All waiting downloads in chunks, for the dispatcher at start; constant memory."""
        ...

    async def part_owners(self, ids: Sequence[str]) -> dict[str, PartOwner]:
        """For those of `ids` that are active: what they may own on disk; ended and unknown ones are left out."""
        ...
