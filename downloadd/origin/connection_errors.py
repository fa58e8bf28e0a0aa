"""Errors of connections to origins as `NetworkError`. No message has an address or a part of the URL."""

import errno
import os
from ssl import SSLEOFError, SSLError, SSLZeroReturnError
from typing import Final

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.message_head import MalformedResponseError, UnsupportedCodingError
from downloadd.tls import describe_tls_error, is_client_refused

NOTHING_SENT: Final = "the origin sent nothing within the stall timeout (downloads.stall_timeout)"
_LOCAL_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Causes in this machine: they say nothing about the origin."""


def map_lookup_error() -> NetworkError:
    """Return the error for a name without an address."""
    return NetworkError("the origin's name could not be resolved", kind=NetworkErrorKind.NAME)


def map_connect_error(error: OSError) -> NetworkError:
    """Return the error for a connection that could not be made."""
    if error.errno is None:
        # Several addresses failed for different reasons.
        return NetworkError("no address of the host could be connected to", kind=NetworkErrorKind.CONNECT)
    is_late = isinstance(error, TimeoutError)
    return _map_os_error(error, NetworkErrorKind.TIMEOUT if is_late else NetworkErrorKind.CONNECT)


def map_handshake_error(error: OSError) -> NetworkError:
    """Return the error for a TLS handshake that failed; permanent if the origin was not accepted."""
    kind = NetworkErrorKind.TLS
    if isinstance(error, SSLEOFError | SSLZeroReturnError | ConnectionResetError | BrokenPipeError):
        return NetworkError("the origin closed the connection during the TLS handshake", kind=kind)
    if isinstance(error, SSLError):
        return NetworkError(f"the TLS connection was refused: {describe_tls_error(error)}", kind=kind, permanent=True)
    return _map_os_error(error, kind)


def map_transfer_error(error: OSError | MalformedResponseError, *, has_head: bool) -> NetworkError:
    """Return the error for a connection that broke, before or after the head of the response."""
    kind = NetworkErrorKind.CUT if has_head else NetworkErrorKind.NO_RESPONSE
    match error:
        case MalformedResponseError():
            # The origin will not speak another language the next time; anything else may be an accident.
            permanent = isinstance(error, UnsupportedCodingError)
            return NetworkError(f"the origin's response is not valid HTTP: {error}", permanent=permanent)
        case TimeoutError() if error.errno is None:
            return NetworkError(NOTHING_SENT, kind=NetworkErrorKind.STALLED)
        case SSLEOFError():
            return NetworkError("the TLS connection was cut", kind=kind)
        case SSLError() if is_client_refused(error):
            return map_handshake_error(error)
        case SSLError():
            return NetworkError(f"the TLS connection broke: {describe_tls_error(error)}", kind=kind)
        case OSError():
            return _map_os_error(error, kind)


def early_end_error(*, has_head: bool) -> NetworkError:
    """Return the error for a connection that ended before the response was complete."""
    if has_head:
        return NetworkError("the connection ended before the last byte", kind=NetworkErrorKind.CUT)
    return NetworkError("the origin closed the connection without a response", kind=NetworkErrorKind.NO_RESPONSE)


def surplus_error() -> NetworkError:
    """Return the error for bytes behind the announced content."""
    return NetworkError("the origin sent more bytes than it had announced", invalidates_part=True)


def _map_os_error(error: OSError, kind: NetworkErrorKind) -> NetworkError:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
    if error.errno in _LOCAL_ERRNOS:
        kind = NetworkErrorKind.PROTOCOL
    return NetworkError(f"the connection failed: {reason}", kind=kind)
