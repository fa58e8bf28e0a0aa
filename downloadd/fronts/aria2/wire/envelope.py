"""Errors of the envelope of a call, before its method is known, and the HTTP status of each.

Pure: no I/O and no clock.
"""

from typing import Final

from downloadd.fronts.aria2.errors import METHOD_FAILED, ErrorText, RpcError, make_error

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
INVALID_PARAMS: Final = -32602

MAX_CALLS: Final = 10_000
"""Calls in one batch; each malformed one of two bytes has an answer of its own."""

_MISLEADING_CODES: Final = frozenset({PARSE_ERROR, INVALID_PARAMS})
"""Codes that aria2 sends with status 500, though the client is wrong."""


def parse_error() -> RpcError:
    """Return the error of a message that is not JSON."""
    return RpcError(PARSE_ERROR, "Parse error.")


def invalid_request() -> RpcError:
    """Return the error of JSON that is not a call."""
    return RpcError(INVALID_REQUEST, "Invalid Request.")


def invalid_params() -> RpcError:
    """Return the error of parameters that are not a list."""
    return RpcError(INVALID_PARAMS, "Invalid params.")


def unauthorized() -> RpcError:
    """Return the error of a message that is not read, because it is long and has no right token."""
    return make_error(ErrorText.UNAUTHORIZED)


def message_too_large(limit: int) -> RpcError:
    """Return the error of a message of more than `limit` bytes."""
    return RpcError(INVALID_REQUEST, f"The message is larger than {limit} bytes; split it into several.")


def internal_error() -> RpcError:
    """Return the error of calls that a defect of the daemon has ended."""
    return RpcError(METHOD_FAILED, "The daemon has failed to answer; its log has the reason.")


def http_status(error: RpcError | None) -> int:
    """Return the status of the answer to a single call."""
    if error is None:
        return 200
    return 500 if error.code in _MISLEADING_CODES else 400


def counted_status(error: RpcError | None) -> int:
    """Return the status for the access log and the metrics: a wrong call is an error of the client."""
    return 200 if error is None else 400
