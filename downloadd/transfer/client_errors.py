"""Mapping of errors of the HTTP client library to `DownloadError`.

This is the only place that does it.
"""

import asyncio
import os
from ssl import SSLError

import aiohttp

from downloadd.errors import DownloadError, NetworkError
from downloadd.tls import describe_tls_error
from downloadd.transfer.detach import surplus_error
from downloadd.transfer.origin_protocol import SurplusError


def map_client_error(error: BaseException) -> DownloadError:
    """Return the error to raise for an error of the client library; its message has no part of the URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            cause = error.__cause__
            reason = describe_tls_error(cause) if isinstance(cause, SSLError) else "TLS failed"
            return NetworkError(f"the TLS connection was refused: {reason}", permanent=True)
        case aiohttp.ClientConnectorDNSError():
            return NetworkError("the origin's name could not be resolved")
        case aiohttp.ConnectionTimeoutError():
            return NetworkError("no connection to the origin within the stall timeout")
        case aiohttp.SocketTimeoutError() | TimeoutError() | asyncio.TimeoutError():
            return NetworkError("the origin sent nothing within the stall timeout")
        case aiohttp.ServerDisconnectedError():
            return NetworkError("the origin closed the connection without a response")
        case SurplusError():
            return surplus_error()
        case aiohttp.ClientPayloadError():
            return NetworkError("the connection ended before the last byte, or the body is malformed")
        # An error of the parser within the content is raised as a closed connection.
        case aiohttp.ClientResponseError() | RuntimeError():
            return NetworkError("the origin's response is not valid HTTP")
        case aiohttp.ClientConnectionResetError():
            return NetworkError("the connection was closed before the request was sent")
        case aiohttp.ClientOSError() | OSError():
            # Not the library's message, which names the address.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
            return NetworkError(f"the connection failed: {reason}")
        case _:
            return NetworkError(f"the request failed: {type(error).__name__}")
