"""Calls about users, for administrators."""

from collections.abc import Sequence
from urllib.parse import quote

from downloadd.client.connection import Connection
from downloadd.fronts.rest.user_schemas import (
    RevokedUserResponse,
    UserBody,
    UserEntry,
    Users,
    UserTokenResponse,
)
from downloadd.users import DEFAULT_PERMISSIONS, Permission

_PATH = "api/v1/users"


class UserCalls:
    """Calls about users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> list[UserEntry]:
        """Return all users, those of the configuration first.

        Raises:
            ApiError, ConnectionLostError: The permission is missing, or there was no answer.
        """
        return (await self._connection.call(Users, "GET", _PATH)).users

    async def create(self, id: str, permissions: Sequence[Permission] = DEFAULT_PERMISSIONS) -> UserTokenResponse:
        """Create a user, and return it with its token, which is not shown again.

        Raises:
            ApiError, ConnectionLostError: The id is taken, the permission is missing, or there was no answer.
        """
        body = UserBody(id=id, permissions=tuple(permissions))
        return await self._connection.call(UserTokenResponse, "POST", _PATH, json=body)

    async def rotate(self, id: str) -> UserTokenResponse:
        """Give a user another token, and return it; the former one is refused from then on.

        Raises:
            ApiError, ConnectionLostError: There is no such user, it is of the configuration, or there was no answer.
        """
        return await self._connection.call(UserTokenResponse, "POST", f"{_path(id)}/rotate")

    async def revoke(self, id: str) -> RevokedUserResponse:
        """Remove a user; its token is refused from then on.

        Raises:
            ApiError, ConnectionLostError: There is no such user, it is the user of this client or of the configuration,
                or there was no answer.
        """
        return await self._connection.call(RevokedUserResponse, "DELETE", _path(id))


def _path(id: str) -> str:
    return f"{_PATH}/{quote(id, safe='')}"
