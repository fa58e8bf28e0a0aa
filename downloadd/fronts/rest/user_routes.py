"""Routes of the requests about users; see `routes`."""

from typing import Final

from downloadd.fronts.rest import user_contracts as c
from downloadd.fronts.rest.route import Route
from downloadd.fronts.rest.users import UserEndpoints
from downloadd.rights import REQUIRED_PERMISSIONS, Action

_MANAGE: Final = REQUIRED_PERMISSIONS[Action.MANAGE_USERS]
_PATH: Final = "/api/v1/users"
_ONE_PATH: Final = "/api/v1/users/{id}"


def build_user_routes(users: UserEndpoints) -> tuple[Route, ...]:
    """Return the routes of users."""
    return (
        Route("GET", _PATH, _MANAGE, users.listing, c.USERS, "List the users", head=True),
        Route("POST", _PATH, _MANAGE, users.create, c.CREATE_USER, "Create a user"),
        Route("POST", f"{_ONE_PATH}/rotate", _MANAGE, users.rotate, c.ROTATE_USER, "Give a user another token"),
        Route("DELETE", _ONE_PATH, _MANAGE, users.revoke, c.REVOKE_USER, "Remove a user"),
    )
