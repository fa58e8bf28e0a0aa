"""One operation of the API: what is asked for, who may, who answers, and what it looks like."""

from collections.abc import Awaitable, Callable
from enum import Enum

import msgspec
from aiohttp import web

from downloadd.fronts.rest.contracts import Contract
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.users import Permission

Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]
"""Answers a call."""


class Access(Enum):
    """Who may call where no permission is asked for."""

    PUBLIC = "public"
    """No token needed."""
    AUTHENTICATED = "authenticated"
    """Any valid token."""


class Route(msgspec.Struct, frozen=True):
    """One line of the table."""

    method: str
    path: str
    """`{directory}` stands for any number of segments, `{id}` for one."""
    access: Permission | Access
    handler: Handler
    contract: Contract
    summary: str
    selector: str = ""
    """The query parameter that chooses this route among those of the same path."""
    head: bool = False
    """Whether HEAD does what GET does, without the body (RFC 9110, section 9.3.2)."""
