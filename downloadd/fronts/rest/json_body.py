"""Decoding of JSON bodies."""

from typing import TypeVar

import msgspec

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.query_decoding import describe_validation_error

T = TypeVar("T")


def decode_body(body: bytes, type: type[T]) -> T:
    """Return a body as a struct.

    Raises:
        InvalidParameterError: it is not JSON in UTF-8, or has another shape; the detail has the JSON path.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        fields = type.__struct_fields__ if issubclass(type, msgspec.Struct) else ()
        raise describe_validation_error(error, fields=fields) from None
    except UnicodeDecodeError:
        raise InvalidParameterError("body", "expected JSON in UTF-8") from None
    except msgspec.DecodeError as error:
        raise InvalidParameterError("body", f"expected JSON: {error}") from None
    except RecursionError:
        raise InvalidParameterError("body", "nested too deeply") from None
