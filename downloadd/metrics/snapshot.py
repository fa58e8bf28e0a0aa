"""Current state of the daemon, as gauges show it.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping, Sequence

import msgspec

from downloadd.node import NodeState
from downloadd.runtime_settings import RuntimeSettings
from downloadd.states import State, WaitReason
from downloadd.user_quota import UserQuotaUse


class OriginUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Use of all origins together; a label for each would have an unbounded number of values."""

    connections: int = 0
    """Connections in use, those of segments included."""
    busiest: int = 0
    """Connections in use to the origin with the most."""
    connected: int = 0
    """Origins with a connection in use."""
    waiting: int = 0
    """Origins with waiting downloads."""
    blocked: int = 0
    """Origins that receive no requests until their `Retry-After` has passed."""
    unreachable: int = 0
    """Origins with an open circuit: one download at a time probes them."""
    slowed: int = 0
    """Origins whose slots are lowered, because they refused further connections."""


class QuotaUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Use of a directory with a quota, in bytes."""

    directory: str
    used: int
    limit: int


class StorageUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Use of the file system of the storage root, in bytes."""

    free: int
    size: int
    reserved: int
    """Bytes that must stay free."""
    quotas: Sequence[QuotaUsage] = ()


class KeptUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Part files of ended downloads, which wait for a retry."""

    parts: int = 0
    size: int = 0
    """Bytes in all."""


class GaugeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Values of all gauges at one time."""

    active: Mapping[State, int] = {}
    """Active downloads by state; a missing state has none."""
    waiting: Mapping[WaitReason, int] = {}
    """Waiting downloads by reason; a missing reason has none."""
    origins: OriginUsage = OriginUsage()
    users: Sequence[UserQuotaUse] = ()
    """Use of the quotas of users."""
    subscribers: int = 0
    """Readers of the event stream."""
    imports: int = 0
    """Active import operations."""
    messages: Mapping[str, int] = {}
    """Waiting deliveries by hook."""
    nodes: Mapping[NodeState, int] = {}
    """Nodes of the database by state; a missing state has none."""
    kept: KeptUsage = KeptUsage()
    limits: RuntimeSettings | None = None
    """The limits on all downloads; None if they are not known."""
    storage: StorageUsage | None = None
    """None while the disk does not respond."""
