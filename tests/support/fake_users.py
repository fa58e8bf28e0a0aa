"""Users in memory."""

from collections.abc import Sequence

from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.user_store import NewUser, make_user, taken_id, unknown_user
from downloadd.config import UserConfig


class FakeUsers:
    """`UserStore` in memory.

    Attributes:
        users: the users by id, with their tokens.
    """

    def __init__(self, known: KnownUsers) -> None:
        self.users: dict[str, NewUser] = {}
        self._stored: dict[str, UserConfig] = {}
        self._known = known

    async def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user; see `UserStore.create`."""
        if id in self.users:
            raise taken_id(id)
        return self._put(id, permissions)

    async def rotate(self, id: str) -> NewUser:
        """Give a user another token; see `UserStore.rotate`."""
        if id not in self.users:
            raise unknown_user(id, "memory")
        return self._put(id, self.users[id].permissions)

    async def revoke(self, id: str) -> None:
        """Remove a user; see `UserStore.revoke`."""
        if self.users.pop(id, None) is None:
            raise unknown_user(id, "memory")
        del self._stored[id]
        self._known.replace_made(list(self._stored.values()))

    def _put(self, id: str, permissions: Sequence[str]) -> NewUser:
        self._stored[id], self.users[id] = make_user(id, permissions)
        self._known.replace_made(list(self._stored.values()))
        return self.users[id]
