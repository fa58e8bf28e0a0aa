"""JSON-RPC over WebSocket: calls are answered as they finish, and notifications are sent in between."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, cast

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from downloadd.clock import Clock
from downloadd.fronts.aria2.message_handler import JSON_TYPE, MAX_ANONYMOUS_BYTES, Caller, MessageHandler, make_refusal
from downloadd.fronts.aria2.sockets.notifier import Notifier
from downloadd.fronts.aria2.sockets.open_sockets import OpenSockets
from downloadd.fronts.aria2.sockets.send_queue import SendQueue
from downloadd.fronts.aria2.sockets.socket_limits import SocketLimits
from downloadd.fronts.aria2.wire.envelope import invalid_request
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS
from downloadd.fronts.rest.schemas import MAX_BODY_BYTES
from downloadd.fronts.rest.server import ApiConnection
from downloadd.metrics import RpcMetrics, RpcTransport
from downloadd.users import Permission, User

_log: Final = structlog.get_logger()


class SocketParts(msgspec.Struct, frozen=True, kw_only=True):
    """Components that all WebSockets share."""

    handler: MessageHandler
    notifier: Notifier
    sockets: OpenSockets
    metrics: RpcMetrics
    clock: Clock
    limits: SocketLimits
    notify_all: bool
    """True if those without a right token receive notifications too."""


class WebSocketEndpoint:
    """Endpoint that opens WebSockets."""

    def __init__(self, parts: SocketParts) -> None:
        self._parts = parts

    async def serve(self, context: RequestContext) -> web.StreamResponse:
        """Answer the calls of a client until it disconnects or the daemon stops."""
        response = web.WebSocketResponse(
            timeout=self._parts.limits.close_seconds, compress=False, max_msg_size=MAX_BODY_BYTES, decode_text=False
        )
        try:
            await response.prepare(context.request)
        except web.HTTPException:
            refusal = make_refusal(invalid_request(), media_type=JSON_TYPE)
            headers = {**dict(COMMON_FIELDS), "Sec-WebSocket-Version": "13"}
            return web.Response(body=refusal.body, status=400, content_type=JSON_TYPE, headers=headers)
        session = SocketSession(response, context, self._parts)
        with self._opened(session):
            await session.run()
        return response

    @contextmanager
    def _opened(self, session: "SocketSession") -> Iterator[None]:
        parts = self._parts
        parts.metrics.socket_opened()
        parts.sockets.add(session)
        if parts.notify_all:
            parts.notifier.add(session)
        try:
            yield
        finally:
            parts.notifier.remove(session)
            parts.sockets.remove(session)
            parts.metrics.socket_closed()


class SocketSession:
    """One WebSocket of a client."""

    def __init__(self, socket: web.WebSocketResponse[bool], context: RequestContext, parts: SocketParts) -> None:
        self._socket = socket
        self._context = context
        self._parts = parts
        self._connection = cast("ApiConnection", context.request.protocol)
        self._queue = SendQueue(parts.limits)
        self._running: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._stop = asyncio.Event()
        self._is_aborted = False
        self._token = ""
        """The right token of a user who may see downloads; "" until there is one."""

    async def run(self) -> None:
        """Answer calls until the WebSocket is closed."""
        # Like a connection without a request: anybody may open it.
        self._connection.limit.mark_idle(self._connection)
        async with asyncio.TaskGroup() as tasks:
            stopper = tasks.create_task(self._close_at_stop())
            sender = tasks.create_task(self._send_all())
            try:
                await self._read_all()
            finally:
                if self._connection.is_timed_out and not self._is_aborted:
                    self._drop()
                stopper.cancel()
                self._queue.discard()
                # It may wait for a client that has gone.
                sender.cancel()

    def may_be_notified(self) -> bool:
        """Return True if the user may still see downloads, or every WebSocket receives notifications."""
        return self._parts.notify_all or _may_see(self._parts.handler.find_user(self._token))

    def notify(self, message: bytes) -> None:
        """Send a notification; close the socket instead if its client does not read."""
        if self._queue.is_full_of_notifications:
            self._drop()
        else:
            self._queue.put(message, is_notification=True)

    def stop(self) -> None:
        """Close the socket, because the daemon stops."""
        self._stop.set()

    def abort(self) -> None:
        """Close the connection at once; what the client has sent by then and was not read is not performed."""
        self._is_aborted = True
        self._queue.discard()
        self._connection.abort()

    # -- the client ----------------------------------------------------------------------------------------------------

    async def _read_all(self) -> None:
        """Read messages and begin to answer them; return once the socket is closed and all are answered."""
        async with asyncio.TaskGroup() as tasks:
            while not self._is_aborted:
                if len(self._running) >= self._parts.limits.max_calls:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                    continue
                if not self._queue.has_room:
                    await self._queue.wait_for_room()
                    continue
                message = await self._socket.receive()
                if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    return
                task = tasks.create_task(self._answer(cast("bytes", message.data)))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _answer(self, data: bytes) -> None:
        started = self._parts.clock.monotonic()
        caller = Caller(
            address=self._context.client.address, request_id=f"{self._context.request_id}.{next(self._numbers)}"
        )
        structlog.contextvars.bind_contextvars(request_id=caller.request_id)
        handler = self._parts.handler
        answer = None
        if len(data) > MAX_ANONYMOUS_BYTES:
            answer = await handler.refuse_long(data, caller, media_type=JSON_TYPE)
        if answer is None:
            answer = await handler.answer_json(data, caller)
        self._recognise(answer.users)
        self._queue.put(answer.body)
        self._parts.metrics.called(RpcTransport.WEB_SOCKET, answer.calls)
        _log.info(
            "rpc_answered",
            **answer.log_fields,
            status=answer.counted_status,
            duration_ms=round((self._parts.clock.monotonic() - started) * 1000, 3),
            user=next((user.id for user in answer.users.values()), None),
            client=caller.address or None,
        )

    def _recognise(self, users: Mapping[str, User]) -> None:
        """Record whose right tokens a message carried."""
        for token, user in users.items():
            if self._context.user.id == "":
                self._context.user = user
                self._parts.sockets.mark_known(self)
                self._connection.limit.mark_busy(self._connection)
            if not self._token and _may_see(user):
                self._token = token
                self._parts.notifier.add(self)

    async def _send_all(self) -> None:
        try:
            await self._queue.send_all(self._socket)
        except ConnectionError:
            self._queue.discard()
        except TimeoutError:
            self._drop()

    def _drop(self) -> None:
        self._parts.metrics.socket_dropped()
        _log.warning("socket_dropped", client=self._context.client.address or None, user=self._context.user.id or None)
        self.abort()

    async def _close_at_stop(self) -> None:
        await self._stop.wait()
        if self._running:
            await asyncio.wait(self._running, timeout=self._parts.limits.finish_seconds)
        try:
            async with asyncio.timeout(self._parts.limits.close_seconds):
                await self._queue.wait_until_sent()
                await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server stops")
        except TimeoutError:
            self.abort()


def _may_see(user: User | None) -> bool:
    return user is not None and user.has_permission(Permission.VIEW_DOWNLOADS)
