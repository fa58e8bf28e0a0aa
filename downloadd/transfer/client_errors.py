"""Mapping of errors of the HTTP client library to `DownloadError`.

This is the only place that does it.
"""

import asyncio
import errno
import os
from ssl import SSLEOFError, SSLError, SSLZeroReturnError
from typing import Final

import aiohttp

from downloadd.errors import DownloadError, NetworkError, NetworkErrorKind
from downloadd.tls import describe_tls_error
from downloadd.transfer.detach import surplus_error
from downloadd.transfer.origin_protocol import SurplusError

_LOCAL_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Causes in this machine: they say nothing about the origin."""


def map_client_error(error: BaseException, *, has_head: bool = False) -> DownloadError:
    """Return the error to raise for an error of the client library; its message has no part of the URL.

    `has_head` is True if the error occurred after the head of the response, within its content.
    """
    kind = NetworkErrorKind
    broken = kind.CUT if has_head else kind.NO_RESPONSE
    match error:
        case aiohttp.ClientSSLError() if isinstance(error.__cause__, SSLEOFError | SSLZeroReturnError):
            return NetworkError("the origin closed the connection during the TLS handshake", kind=kind.TLS)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            cause = error.__cause__
            reason = describe_tls_error(cause) if isinstance(cause, SSLError) else "TLS failed"
            return NetworkError(f"the TLS connection was refused: {reason}", kind=kind.TLS, permanent=True)
        case aiohttp.ClientConnectorDNSError():
            return NetworkError("the origin's name could not be resolved", kind=kind.NAME)
        case aiohttp.ConnectionTimeoutError():
            return NetworkError("no connection to the origin within the stall timeout", kind=kind.CONNECT)
        case aiohttp.SocketTimeoutError() | TimeoutError() | asyncio.TimeoutError():
            return NetworkError("the origin sent nothing within the stall timeout", kind=kind.STALLED)
        case aiohttp.ServerDisconnectedError():
            return NetworkError("the origin closed the connection without a response", kind=broken)
        case SurplusError():
            return surplus_error()
        case aiohttp.ClientPayloadError():
            return NetworkError("the connection ended before the last byte, or the body is malformed", kind=kind.CUT)
        # An error of the parser within the content is raised as a closed connection.
        case aiohttp.ClientResponseError() | RuntimeError():
            return NetworkError("the origin's response is not valid HTTP")
        case aiohttp.ClientConnectionResetError():
            return NetworkError("the connection was closed before the request was sent", kind=broken)
        case aiohttp.ClientOSError() | OSError():
            return _map_os_error(error, broken)
        case _:
            return NetworkError(f"the request failed: {type(error).__name__}")


def _map_os_error(error: OSError, broken: NetworkErrorKind) -> NetworkError:
    # Not the library's message, which names the address.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
    if error.errno in _LOCAL_ERRNOS:
        broken = NetworkErrorKind.PROTOCOL
    elif isinstance(error, aiohttp.ClientConnectorError):
        broken = NetworkErrorKind.CONNECT
    return NetworkError(f"the connection failed: {reason}", kind=broken)
