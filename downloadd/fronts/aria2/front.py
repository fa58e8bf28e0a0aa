"""Assembly of the RPC interface from its parts."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from downloadd.clock import Clock
from downloadd.config import Aria2Config
from downloadd.errors import NotFoundError
from downloadd.events import Event, EventBus
from downloadd.fronts.aria2.access.token_guard import DELAY_SECONDS, LoginMetrics, TokenGuard
from downloadd.fronts.aria2.calls import RpcMethods
from downloadd.fronts.aria2.endpoints import PATHS, RpcEndpoints, is_rpc_request
from downloadd.fronts.aria2.message_handler import MessageHandler
from downloadd.fronts.aria2.sockets.notifier import Notification, Notifier
from downloadd.fronts.aria2.sockets.open_sockets import OpenSockets
from downloadd.fronts.aria2.sockets.socket_limits import SocketLimits
from downloadd.fronts.aria2.sockets.web_socket import SocketParts, WebSocketEndpoint
from downloadd.fronts.cross_origin import AllowedOrigins
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.request_guards import AllowedHosts, LoginThrottle
from downloadd.metrics import RpcMetrics
from downloadd.users import User

Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]
"""Handler of a request."""


class FrontMetrics(LoginMetrics, Protocol):
    """The counters that the interface uses."""

    @property
    def rpc(self) -> RpcMetrics:
        """Those of calls and WebSockets."""
        ...


class RpcFront:
    """The RPC interface without its sockets."""

    def __init__(self, endpoints: RpcEndpoints, sockets: OpenSockets) -> None:
        self._endpoints = endpoints
        self._sockets = sockets

    def beside(self, other: Handler) -> Handler:
        """Return the handler of a server that has other paths too, which `other` answers."""

        async def handle(context: RequestContext) -> web.StreamResponse:
            return await (self._endpoints.handle if is_rpc_request(context) else other)(context)

        return handle

    async def handle_alone(self, context: RequestContext) -> web.StreamResponse:
        """Return the response to a request to a server that has no other paths.

        Raises:
            NotFoundError: the path is another one.
        """
        if context.target.path not in PATHS:
            # A page could not read the error otherwise, and would say that it cannot connect.
            self._endpoints.allow_reading(context)
            raise NotFoundError("this port serves /jsonrpc and /rpc only; the API is at server.port")
        return await self._endpoints.handle(context)

    def close_sockets(self) -> None:
        """Close all WebSockets, present and future, because the daemon stops."""
        self._sockets.stop_all()


def create_rpc_front(
    *,
    methods: RpcMethods,
    notification_of: Callable[[Event], Notification | None],
    config: Aria2Config,
    find_user: Callable[[str], User | None],
    max_failed_logins: int,
    hosts: AllowedHosts,
    bus: EventBus,
    metrics: FrontMetrics,
    clock: Clock,
    reader: BodyReader | None = None,
    limits: SocketLimits | None = None,
    token_delay: float = DELAY_SECONDS,
) -> RpcFront:
    """Return the RPC interface.

    Args:
        methods: the methods.
        notification_of: returns the notification of an event; None for an event without one.
        config: the settings.
        find_user: returns the user of a token; None if it is wrong.
        max_failed_logins: wrong tokens of an address in a minute after which others of it wait; 0 for no limit.
        hosts: the hosts that requests may name.
        bus: the events.
        metrics: the counters.
        clock: the clock.
        reader: the reader of request bodies.
        limits: the limits of WebSockets.
        token_delay: seconds by which the answer to a wrong token is delayed.
    """
    limits = limits or SocketLimits()
    guard = TokenGuard(
        find_user=find_user,
        throttle=LoginThrottle(max_failed_logins),
        metrics=metrics,
        clock=clock,
        delay=token_delay,
    )
    handler = MessageHandler(methods, guard)
    sockets = OpenSockets(limits.max_anonymous)
    parts = SocketParts(
        handler=handler,
        notifier=Notifier(bus, notification_of, metrics.rpc.notified),
        sockets=sockets,
        metrics=metrics.rpc,
        clock=clock,
        limits=limits,
        notify_all=config.notify == "all",
    )
    endpoints = RpcEndpoints(
        handler=handler,
        web_socket=WebSocketEndpoint(parts),
        origins=AllowedOrigins(config.allow_origins),
        hosts=hosts,
        reader=reader or BodyReader(),
        metrics=metrics.rpc,
    )
    return RpcFront(endpoints, sockets)
