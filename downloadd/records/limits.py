"""Records of the limits that users have changed for all nodes."""

from collections.abc import Collection, Mapping
from typing import Protocol


class LimitRecords(Protocol):
    """Limits over all nodes by name, in place of those of the configuration; each change is durable on return.

    Raises:
        StoreUnavailableError: the records cannot be used at the moment.
    """

    async def load(self) -> Mapping[str, int]:
        """Return the changed limits by name."""
        ...

    async def change(self, limits: Mapping[str, int], *, now: float) -> None:
        """Change limits; `now` is the Unix time."""
        ...

    async def withdraw(self, names: Collection[str], *, before: float) -> None:
        """Remove the limits of these names that were changed before a Unix time."""
        ...
