"""Shape of the description of an operation.

Pure: no I/O and no clock.
"""

import msgspec

from downloadd.errors import ErrorCode


class ResponseSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Response that reports success."""

    status: int = 200
    description: str
    types: tuple[type[msgspec.Struct], ...] = ()
    """Shapes of the JSON body; empty for another media type."""
    media_type: str = "application/json"
    """"" for a response without a body."""
    is_array: bool = False
    """True if the body is an array of these shapes."""
    headers: tuple[str, ...] = ()


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """Request and responses of an operation, without path and method."""

    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    is_body_required: bool = True
    is_raw_body: bool = False
    """True if the body is an uploaded file, not JSON."""
    headers: tuple[str, ...] = ()
    """Request header fields that the operation reads."""
    response: ResponseSpec
    other_responses: tuple[ResponseSpec, ...] = ()
    """Further responses that report success."""
    result_errors: tuple[ErrorCode, ...] = ()
    """Errors whose body has the shape `result_error_type`: that of a download, a batch or an import."""
    result_error_type: type[msgspec.Struct] | None = None
    errors: tuple[ErrorCode, ...] = ()
    """Errors whose body has the common shape `ErrorResponse`."""
