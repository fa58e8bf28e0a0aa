"""Records of the runs of all nodes: which node holds a download that runs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from downloadd.download import Desired

NO_NODES: Mapping[str, str] = {}


class HeldRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as the row of its download names it."""

    id: str
    """Id of the download."""
    seq: int
    epoch: int
    desired: Desired = Desired.RUN


class RunRecords(Protocol):
    """Which node holds a download in a running state.

    Raises:
        StoreUnavailableError: the store cannot be used at the moment.
    """

    async def nodes(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the names of the nodes that hold these downloads; those that do not run are left out."""
        ...

    async def held(self) -> Sequence[HeldRun]:
        """Return the runs that this session of this node holds."""
        ...

    def pop_takeover(self, seq: int) -> bool:
        """Return True, once, if another process may still write to the part file of a download claimed here."""
        ...


class SoleRuns:
    """`RunRecords` of a store that only this node can use: no other one holds a download."""

    async def nodes(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return no names."""
        return NO_NODES

    async def held(self) -> Sequence[HeldRun]:
        """Return no runs."""
        return ()

    def pop_takeover(self, seq: int) -> bool:
        """Return False."""
        return False
