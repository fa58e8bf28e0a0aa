"""Users in memory."""

from collections.abc import Sequence

from downloadd.accounts.user_store import NewUser, UserDescription, make_user, taken_id, unknown_user


class FakeUsers:
    """`UserStore` in memory.

    Attributes:
        users: the users by id, with their tokens.
    """

    def __init__(self) -> None:
        self.users: dict[str, NewUser] = {}

    async def list(self) -> Sequence[UserDescription]:
        """Return all of them; see `UserStore.list`."""
        return [UserDescription(id=one.id, permissions=one.permissions, kind=one.kind) for one in self.users.values()]

    async def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user; see `UserStore.create`."""
        if id in self.users:
            raise taken_id(id)
        self.users[id] = make_user(id, permissions)[1]
        return self.users[id]

    async def rotate(self, id: str) -> NewUser:
        """Give a user another token; see `UserStore.rotate`."""
        if id not in self.users:
            raise unknown_user(id, "memory")
        self.users[id] = make_user(id, self.users[id].permissions)[1]
        return self.users[id]

    async def revoke(self, id: str) -> None:
        """Remove a user; see `UserStore.revoke`."""
        if self.users.pop(id, None) is None:
            raise unknown_user(id, "memory")
