"""`/api/v1/users`: users that administrators make and revoke."""

from urllib.parse import unquote

from aiohttp import web

from downloadd.accounts.service import UserService
from downloadd.accounts.user_store import NewUser
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.user_schemas import RevokedUserResponse, UserBody, UserEntry, Users, UserTokenResponse


class UserEndpoints:
    """Handlers of the requests about users."""

    def __init__(self, *, service: UserService, reader: BodyReader) -> None:
        self._service = service
        self._reader = reader

    async def listing(self, context: RequestContext) -> web.Response:
        """Return all users, for `GET /api/v1/users`."""
        found = self._service.list(context.user)
        return json_response(
            Users(users=[UserEntry(id=one.id, permissions=list(one.permissions), kind=one.kind) for one in found])
        )

    async def create(self, context: RequestContext) -> web.Response:
        """Create a user, for `POST /api/v1/users`."""
        body = decode_body(await self._reader.read_json(context.request), UserBody)
        new = await self._service.create(context.user, body.id, [str(each) for each in body.permissions])
        return _respond(new, "User created", status=201)

    async def rotate(self, context: RequestContext) -> web.Response:
        """Give a user another token, for `POST /api/v1/users/{id}/rotate`."""
        return _respond(await self._service.rotate(context.user, unquote(context.id)), "Token replaced")

    async def revoke(self, context: RequestContext) -> web.Response:
        """Remove a user, for `DELETE /api/v1/users/{id}`."""
        id = unquote(context.id)
        await self._service.revoke(context.user, id)
        return json_response(RevokedUserResponse(id=id, success=True, message="User removed"))


def _respond(user: NewUser, message: str, *, status: int = 200) -> web.Response:
    return json_response(
        UserTokenResponse(
            id=user.id,
            permissions=list(user.permissions),
            kind=user.kind,
            token=user.token,
            success=True,
            message=f"{message}; the token is not shown again",
        ),
        status=status,
    )
