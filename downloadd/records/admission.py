"""Protocol of the admission over several nodes: what waits, and the slots of origins that all of them share."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from downloadd.download import Download
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import WaitingDownload

Route = tuple[str, str, str]
"""The origin of a download, the origin that its redirects lead to ("" if that is not known), and its user."""
FIRST_ROUTE: Route = ("", "", "")
"""A route before all others."""


class SlotHolding(msgspec.Struct, frozen=True, kw_only=True):
    """Slots of an origin that a run of this node holds."""

    seq: int
    """The download."""
    origin: str
    number: int
    """All that it holds there; 0 frees them."""


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A download to claim, with the slots that its run needs."""

    seq: int
    slots: Mapping[str, int]
    """Slots that it holds from the claim on, by origin."""


class BacklogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the waiting downloads to read."""

    after: Route = FIRST_ROUTE
    """The routes after this one are read."""
    max_routes: int
    per_route: int
    """Downloads of each route at most, the next ones first."""
    held: Sequence[int] = ()
    """Downloads (`seq`) to leave out."""
    full_users: Sequence[str] = ()
    """Users whose routes are left out, because nothing of them can start."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, and what other nodes use."""

    ready: Sequence[WaitingDownload]
    """Downloads that may start now, as far as time is concerned."""
    next_route: Route
    """The last route that was read if there are more, else `FIRST_ROUTE`."""
    next_due: float | None
    """Unix time at which the first of those that wait for a time may start."""
    used: Mapping[str, int]
    """Slots that other nodes hold, by origin."""
    origins: Sequence[OriginRecord]
    """Health of origins that other nodes have recorded since the last call."""


class DelayedCount(msgspec.Struct, frozen=True, kw_only=True):
    """Number of downloads that wait for a time."""

    retries: int
    """For that of their next attempt."""
    scheduled: int
    """For that of their request."""


class AdmissionRecords(Protocol):
    """Claims under limits that hold over all nodes.

    Raises:
        StoreUnavailableError: the store cannot be used at the moment.
    """

    async def read_backlog(self, request: BacklogRequest) -> Backlog:
        """Return what waits; changes nothing."""
        ...

    async def release_due(self, now: float) -> None:
        """Let downloads whose time has come by `now` (Unix time) be among those that may start."""
        ...

    async def count_delayed(self) -> DelayedCount:
        """Return the number of downloads that wait for a time."""
        ...

    async def claim(
        self, requests: Sequence[ClaimRequest], limits: Mapping[str, int], changes: Sequence[SlotHolding]
    ) -> list[Download]:
        """Apply `changes`, which only free slots, then claim downloads as `Records.claim` does, within the limits.

        One whose slots would exceed the limit of an origin is left out. The limits count the slots of all nodes.
        """
        ...

    async def acquire(self, holding: SlotHolding, limit: int, changes: Sequence[SlotHolding]) -> int:
        """Let a run hold up to `holding.number` slots; return how many it holds now, never fewer than before."""
        ...

    async def free(self, changes: Sequence[SlotHolding]) -> None:
        """Apply changes that only free slots."""
        ...

    async def free_abandoned(self) -> None:
        """Free the slots of nodes that are gone."""
        ...

    async def record_targets(self, targets: Mapping[int, str]) -> None:
        """Record where redirects have led downloads (`seq`), so that they start with a slot there."""
        ...
