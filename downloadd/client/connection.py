"""HTTP requests to the daemon: addresses, credentials, and exceptions for answers without success."""

import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from downloadd import __version__
from downloadd.tls import make_client_context

T = TypeVar("T")
Parameter = str | float | Iterable[str] | None
"""Value of a query parameter: None is omitted, several values are repeated."""

UNIX_SOCKET_PREFIX: Final = "unix:"
"""Beginning of the address of a Unix socket."""
_CONNECT_SECONDS: Final = 20.0
_CODE_BRACKETS: Final = (" [", "]")
"""Brackets around the error code at the end of a Rocket.Chat message."""


class ClientError(Exception):
    """Base class of all failures of a call."""


class ConnectionLostError(ClientError):
    """No answer, or an incomplete one; the daemon may have executed the request or not."""


class InvalidResponseError(ClientError):
    """The answer does not have the expected form: another program, or another version of downloadd."""


class ApiError(ClientError):
    """The daemon refused the request.

    Attributes:
        code: Code of the error table, `unauthorized` or `error-unauthorized`.
        status: HTTP status.
        detail: Sentence about this case.
        retry_after: Seconds to wait before the request is repeated.
        body: Content of the answer.
    """

    def __init__(
        self, code: str, status: int, *, detail: str | None = None, retry_after: int | None = None, body: bytes = b""
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.body = body


class Connection:
    """Pool of connections to one daemon, between `open` and `close`; takes the arguments of `Client`.

    Raises:
        ValueError: The address is invalid, or the certificates cannot be read.
    """

    def __init__(self, base_url: str, *, token: str | None, ca_file: Path | None, read_timeout: float) -> None:
        self._socket = base_url.removeprefix(UNIX_SOCKET_PREFIX) if base_url.startswith(UNIX_SOCKET_PREFIX) else None
        split = urlsplit("http://localhost/" if self._socket is not None else base_url)
        if split.scheme not in {"http", "https"} or not split.hostname:
            raise ValueError(f"{base_url!r} is not an address; it must begin with http://, https:// or unix:")
        self.base_url = f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path.rstrip('/')}/"
        self._fields = {"Accept": "application/json", "User-Agent": f"downloadd/{__version__}"}
        if token is not None:
            self._fields["Authorization"] = f"Bearer {token}"
        uses_tls = split.scheme == "https" or ca_file is not None
        self._tls = make_client_context(() if ca_file is None else (str(ca_file),)) if uses_tls else None
        self.read_timeout = read_timeout
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Create the pool; the first request connects."""
        if self._socket is not None:
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(self._socket)
        else:
            connector = aiohttp.TCPConnector(ssl=self._tls or True)
        # Proxies of the environment are for other hosts, not for the daemon.
        self._session = aiohttp.ClientSession(connector=connector, headers=self._fields, trust_env=False)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, kind: type[T], method: str, path: str, **options: Any) -> T:
        """Send a request and return its answer as a struct; takes the options of `send`.

        Raises:
            ApiError, ConnectionLostError, InvalidResponseError: The call failed.
        """
        async with self.send(method, path, **options) as response:
            body = await response.read()
        return decode(body, kind)

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Parameter] | None = None,
        body: bytes | AsyncIterable[bytes] | None = None,
        json: object = None,
        fields: Mapping[str, str] | None = None,
        extra_seconds: float = 0,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, and provide its successful answer within the context.

        Args:
            method: HTTP method.
            path: Path relative to the base URL, percent-encoded.
            query: Parameters of the query.
            body: Content of the request.
            json: Content that is sent as JSON.
            fields: Header fields.
            extra_seconds: Seconds that the daemon may hold the answer, in addition to the read timeout.

        Raises:
            ApiError: The daemon refused the request.
            ConnectionLostError: There was no answer, or it was incomplete.
        """
        if self._session is None:
            raise RuntimeError("the client is not open; use it as `async with Client(…) as client`")
        search = format_query(query or {})
        # yarl would decode %2F again.
        url = URL(self.base_url + path + (f"?{search}" if search else ""), encoded=True)
        sent = dict(fields or {})
        if json is not None:
            body = msgspec.json.encode(json)
            sent["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=self.read_timeout + extra_seconds
        )
        try:
            async with self._session.request(
                method, url, data=body, headers=sent, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status >= 300:
                    raise parse_error_response(
                        response.status, await response.read(), response.headers.get("Retry-After")
                    )
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            address = self._socket or self.base_url
            raise ConnectionLostError(f"{address} cannot be reached: {_describe_error(error)}") from error


def decode(body: bytes, kind: type[T]) -> T:
    """Decode JSON as a struct.

    Raises:
        InvalidResponseError: It does not have the form of that struct.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidResponseError(
            f"the answer is not that of downloadd {__version__} but of another version or another program ({error})"
        ) from error


def parse_error_response(status: int, body: bytes, retry_after: str | None) -> ApiError:
    """Return the exception for an answer without success, of the daemon or of a proxy."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The answer comes from a proxy or another program.
        document = {}
    document = document if isinstance(document, dict) else {}
    code, detail = document.get("error"), document.get("detail")
    opening, closing = _CODE_BRACKETS
    if isinstance(code, str) and code.endswith(closing) and opening in code:
        detail, _, code = code.removesuffix(closing).rpartition(opening)
    return ApiError(
        code if isinstance(code, str) and code else f"HTTP_{status}",
        status,
        detail=detail if isinstance(detail, str) else None,
        retry_after=int(retry_after) if retry_after and retry_after.isdecimal() else None,
        body=body,
    )


def _format_value(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def format_query(query: Mapping[str, Parameter]) -> str:
    """Return the query string of these parameters."""
    pairs: list[str] = []
    for name, value in query.items():
        values = [value] if isinstance(value, str | int | float) else value or ()
        pairs.extend(f"{quote(name, safe='')}={quote(_format_value(one), safe='')}" for one in values)
    return "&".join(pairs)


def format_directory(directory: str) -> str:
    """Return a directory as one segment of a path, so that no proxy resolves dots in it."""
    path = "%2F".join(quote(name, safe="") for name in directory.split("/") if name)
    return f"%2F{path}" if path in {".", ".."} else path


def _describe_error(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
    return str(error) or type(error).__name__
