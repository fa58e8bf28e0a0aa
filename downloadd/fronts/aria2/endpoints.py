"""The paths of the RPC interface: `/jsonrpc` by POST, GET and WebSocket, `/rpc` by POST, and preflight requests."""

from typing import Final, cast

from aiohttp import web

from downloadd.errors import BodyTooLargeError, InvalidParameterError, MethodNotAllowedError
from downloadd.fronts.aria2.message_handler import (
    JSON_TYPE,
    MAX_ANONYMOUS_BYTES,
    XML_TYPE,
    Answer,
    Caller,
    MessageHandler,
    make_refusal,
)
from downloadd.fronts.aria2.sockets.web_socket import WebSocketEndpoint
from downloadd.fronts.aria2.wire.content_coding import accepts_gzip, compress
from downloadd.fronts.aria2.wire.envelope import message_too_large, parse_error
from downloadd.fronts.cross_origin import AllowedOrigins, preflight_fields
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.request_guards import AllowedHosts
from downloadd.fronts.rest.request_head import require_valid_head
from downloadd.fronts.rest.responses import COMMON_FIELDS
from downloadd.fronts.rest.server import ApiConnection
from downloadd.metrics import RpcMetrics, RpcTransport

JSON_PATH: Final = "/jsonrpc"
XML_PATH: Final = "/rpc"
PATHS: Final = frozenset({JSON_PATH, XML_PATH})

_CALL_PARAMETERS: Final = frozenset({"method", "params"})
"""Parameters of a call in a query."""
_METHODS: Final = ("POST", "GET", "OPTIONS")
_FIELDS: Final = {name: value for name, value in COMMON_FIELDS if name != "Cross-Origin-Resource-Policy"}


def is_rpc_request(context: RequestContext) -> bool:
    """Return True if a request to the server is for the RPC interface.

    A directory may have the name of a path: `GET /jsonrpc?download=` starts a download.
    """
    target = context.target
    if target.path not in PATHS or not target.is_below_base_path:
        return False
    is_for_directory = context.request.method in {"GET", "HEAD"} and target.query.selectors
    return not is_for_directory or not _CALL_PARAMETERS.isdisjoint(target.query.values)


class RpcEndpoints:
    """Handlers of all requests to the RPC interface."""

    def __init__(
        self,
        *,
        handler: MessageHandler,
        web_socket: WebSocketEndpoint,
        origins: AllowedOrigins,
        hosts: AllowedHosts,
        reader: BodyReader,
        metrics: RpcMetrics,
    ) -> None:
        self._handler = handler
        self._web_socket = web_socket
        self._origins = origins
        self._hosts = hosts
        self._reader = reader
        self._metrics = metrics

    async def handle(self, context: RequestContext) -> web.StreamResponse:
        """Return the response to a request to one of the paths.

        Raises:
            MethodNotAllowedError: the path does not have the method.
            CrossSiteError: a page of an origin that is not allowed sent it.
            HostNotAllowedError, InvalidParameterError, HttpVersionNotSupportedError: its head is wrong.
            BodyTooSlowError: the client is too slow.
        """
        request = context.request
        self.allow_reading(context)
        require_valid_head(context, self._hosts)
        self._origins.require(request.headers)
        is_json = context.target.path == JSON_PATH
        match request.method:
            case "OPTIONS":
                return web.Response(headers={**_FIELDS, **preflight_fields(request.headers, _METHODS)})
            case "POST" if is_json:
                return await self._answer_json(context)
            case "POST":
                return await self._answer_xml(context)
            case "GET" if is_json and request.headers.get("Upgrade", "").strip().lower() == "websocket":
                return await self._web_socket.serve(context)
            case "GET" if is_json:
                answer = await self._handler.answer_query(context.query.values, _caller(context))
                return await self._respond(context, answer, RpcTransport.HTTP)
            case method:
                raise MethodNotAllowedError(method, ("GET", "OPTIONS", "POST") if is_json else ("OPTIONS", "POST"))

    def allow_reading(self, context: RequestContext) -> None:
        """Let a page of an allowed origin read the response to a request, whatever it is."""
        context.response_fields = self._origins.response_fields(context.request.headers)

    async def _answer_json(self, context: RequestContext) -> web.Response:
        answer = await self._read(context, JSON_TYPE)
        if isinstance(answer, bytes):
            answer = await self._handler.answer_json(answer, _caller(context))
        return await self._respond(context, answer, RpcTransport.HTTP)

    async def _answer_xml(self, context: RequestContext) -> web.Response:
        answer = await self._read(context, XML_TYPE)
        if isinstance(answer, bytes):
            answer = await self._handler.answer_xml(answer, _caller(context))
        return await self._respond(context, answer, RpcTransport.XML)

    async def _read(self, context: RequestContext, media_type: str) -> bytes | Answer:
        """Return the body, or the answer to one that is not read to its end."""
        body = bytearray()
        may_be_long = False
        try:
            # Anybody may send it: a slow client must not keep others from connecting.
            with cast("ApiConnection", context.request.protocol).counting_as_idle():
                async for chunk in self._reader.read_limited(context.request):
                    body += chunk
                    if len(body) > MAX_ANONYMOUS_BYTES and not may_be_long:
                        refusal = await self._handler.refuse_long(bytes(body), _caller(context), media_type=media_type)
                        if refusal is not None:
                            return refusal
                        may_be_long = True
        except BodyTooLargeError as error:
            return make_refusal(message_too_large(error.limit), media_type=media_type, status=error.status)
        except InvalidParameterError:
            return make_refusal(parse_error(), media_type=media_type)
        return bytes(body)

    async def _respond(self, context: RequestContext, answer: Answer, transport: RpcTransport) -> web.Response:
        self._metrics.called(transport, answer.calls)
        context.counted_status = answer.counted_status
        context.log_fields = answer.log_fields
        if answer.status != answer.counted_status:
            context.log_fields = {**answer.log_fields, "sent_status": answer.status}
        for user in answer.users.values():
            context.user = user
        headers = {**_FIELDS, "Content-Type": answer.media_type}
        body = answer.body
        if accepts_gzip(context.request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            body = await compress(body)
        return web.Response(body=body, status=answer.status, headers=headers)


def _caller(context: RequestContext) -> Caller:
    return Caller(address=context.client.address, request_id=context.request_id)
