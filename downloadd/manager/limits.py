"""Limits on downloads that run at the same time.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Mapping
from typing import Self

import msgspec
from msgspec import UNSET

from downloadd.config import DownloadsConfig, HostConfig
from downloadd.policy.url import host_of


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on downloads that run at the same time."""

    max_concurrent: int
    """Runs of all origins together."""
    max_per_host: int
    """Slots of one origin."""
    slots_by_host: Mapping[str, int] = {}
    """Slots of each origin of some hosts, in the spelling of `parse_host`."""
    runs_by_user: Mapping[str, int] = {}
    """Runs of some users together, by their ids."""
    hold_reason: str | None = None
    """The reason, in words, why nothing starts; None while downloads may start."""
    hold_source: str = ""
    """The hours that let nothing start, in words; empty for a user."""
    max_concurrent_source: str = ""
    """What `max_concurrent` is limited by, in words; empty for the configuration or a user."""

    @classmethod
    def from_config(cls, config: DownloadsConfig, hosts: Iterable[HostConfig] = ()) -> Self:
        """Return the configured limits."""
        return cls(
            max_concurrent=config.max_concurrent,
            max_per_host=config.max_per_host,
            slots_by_host={each.host: each.slots for each in hosts if each.slots is not UNSET},
        )

    def slots_of(self, origin: str) -> int:
        """Return the slots of an origin."""
        if not self.slots_by_host:
            return self.max_per_host
        return self.slots_by_host.get(host_of(origin), self.max_per_host)
