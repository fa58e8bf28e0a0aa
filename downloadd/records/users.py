"""Records of the users that several nodes share, with the hashes of their tokens."""

from collections.abc import Sequence
from typing import Protocol

from downloadd.config import UserConfig


class UserRecords(Protocol):
    """Durable records of users; each call that changes them returns after the change is durable.

    Raises:
        StoreUnavailableError: the records cannot be used at the moment.
    """

    async def list(self) -> Sequence[UserConfig]:
        """Return all users by id; damaged ones are left out."""
        ...

    async def add(self, user: UserConfig) -> bool:
        """Insert a user; return False if its id or its token is taken."""
        ...

    async def rotate(self, id: str, token_hash: str) -> UserConfig | None:
        """Give a user another token, and return it; None if there is no such user."""
        ...

    async def remove(self, id: str) -> bool:
        """Remove a user; return False if there is no such user."""
        ...
