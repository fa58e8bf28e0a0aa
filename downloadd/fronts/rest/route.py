"""One route of the API: method, path, permission, handler and contract."""

from collections.abc import Awaitable, Callable
from enum import Enum

import msgspec
from aiohttp import web

from downloadd.fronts.rest.contract import Contract
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.users import Permission

Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]
"""Handler of a request."""


class Access(Enum):
    """Access of routes that do not require a permission."""

    PUBLIC = "public"
    """Without a token."""
    AUTHENTICATED = "authenticated"
    """With any valid token."""


class Route(msgspec.Struct, frozen=True):
    """One row of the table of routes."""

    method: str
    path: str
    """`{directory}` stands for any number of segments, `{id}` for one."""
    access: Permission | Access
    handler: Handler
    contract: Contract
    summary: str
    selector: str = ""
    """The query parameter that selects this route among those of the same path."""
    head: bool = False
    """True if HEAD is answered like GET, without the content (RFC 9110, section 9.3.2)."""

    takes_ticket: bool = False
    """True if a ticket in the query may stand in place of a token."""

    @property
    def is_of_schedule(self) -> bool:
        """True if `{id}` in the path is the name of a schedule."""
        return "/schedules/{id}" in self.path

    @property
    def is_of_user(self) -> bool:
        """True if `{id}` in the path is the id of a user."""
        return "/users/{id}" in self.path

    @property
    def is_of_import(self) -> bool:
        """True if `{id}` in the path is the id of an import operation, and not that of a download."""
        return "/imports/{id}" in self.path
