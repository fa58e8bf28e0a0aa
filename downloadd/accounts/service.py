"""The users as administrators see and change them.

Every interface for users goes through this service; it checks what a user may do, and nothing is checked elsewhere.
"""

from collections.abc import Sequence

import structlog

from downloadd.accounts.known_users import KnownUsers
from downloadd.accounts.user_store import (
    NewUser,
    UserDescription,
    UserKind,
    UserStore,
    check_user_id,
    taken_id,
)
from downloadd.errors import InvalidStateError
from downloadd.rights import Action, Rights
from downloadd.users import User

log = structlog.get_logger()


class UserService:
    """Lists, creates, rotates and revokes users.

    The user who calls it is an administrator and cannot revoke itself; of two, each can revoke the other.
    """

    def __init__(self, store: UserStore, known: KnownUsers, rights: Rights) -> None:
        """Take the users that can be changed, all users of this node, and the checks of what a user may do."""
        self._store = store
        self._known = known
        self._rights = rights

    def list(self, user: User) -> list[UserDescription]:
        """Return all users that hold on this node, those of the configuration before the others.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self._rights.require(user, Action.MANAGE_USERS)
        return self._known.describe()

    async def create(self, user: User, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user, and return it with its token.

        Raises:
            PermissionMissingError: the user does not have the permission.
            InvalidParameterError: the id cannot be used.
            InvalidStateError: it is taken.
        """
        self._rights.require(user, Action.MANAGE_USERS)
        check_user_id(id)
        if self._known.is_taken(id):
            raise taken_id(id)
        new = await self._store.create(id, permissions)
        log.info("user_created", user=user.id, created=id, permissions=new.permissions)
        return new

    async def rotate(self, user: User, id: str) -> NewUser:
        """Give a user another token, and return it; the former one is refused from now on.

        Raises:
            PermissionMissingError: the user does not have the permission.
            NotFoundError: there is no such user.
            InvalidStateError: the user is one of the configuration.
        """
        self._rights.require(user, Action.MANAGE_USERS)
        self._require_not_configured(id)
        new = await self._store.rotate(id)
        log.info("user_rotated", user=user.id, rotated=id, id=new.id)
        return new

    async def revoke(self, user: User, id: str) -> None:
        """Remove a user; its token is refused from now on.

        Raises:
            PermissionMissingError: the user does not have the permission.
            NotFoundError: there is no such user.
            InvalidStateError: the user is the one that asks, or one of the configuration.
        """
        self._rights.require(user, Action.MANAGE_USERS)
        if id == user.id:
            raise InvalidStateError(
                f"{id} is the user of this request, and cannot revoke itself; use the token of another user with "
                "manage-users, or rotate this one"
            )
        self._require_not_configured(id)
        await self._store.revoke(id)
        log.info("user_revoked", user=user.id, revoked=id)

    def _require_not_configured(self, id: str) -> None:
        if self._known.find_kind(id) is UserKind.CONFIGURED:
            raise InvalidStateError(
                f"{id} is a user of the configuration; change [[users]] there and reload the daemon"
            )
