"""JSON-RPC 2.0, as aria2 speaks it: bytes or a query to calls, outcomes to bytes.

Pure: no I/O and no clock.
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from downloadd.fronts.aria2.calls import Call, EncodedList, Outcome
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.wire.envelope import MAX_CALLS, invalid_params, invalid_request, parse_error
from downloadd.fronts.rest.target import decode_percent

MAX_CALLBACK_CHARACTERS: Final = 128

_WHITESPACE: Final = b" \t\r\n"
_NULL: Final = Raw(b"null")
_CALLBACK: Final = re.compile(r"[A-Za-z_$][\w$.]*", re.ASCII)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a message, without its call."""

    id: Raw = _NULL
    """The id as the client wrote it, so that its answer has the same value and type."""
    error: RpcError | None = None
    """The error of a member that is not a call."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a client: a request, or a batch of them."""

    requests: list[Request]
    calls: list[Call] = []
    """The calls of the requests without an error; may be emptied once they are performed."""
    is_batch: bool = False

    @classmethod
    def refused(cls, error: RpcError, id: Raw = _NULL) -> "Message":
        """Return the message for something that is not a call."""
        return cls(requests=[Request(id=id, error=error)])


class _Envelope(msgspec.Struct):
    """Members of a request that count; the others are ignored."""

    id: Raw | UnsetType = UNSET
    method: Any = UNSET
    params: Any = UNSET


class _Failure(msgspec.Struct):
    code: int
    message: str


class _ResultAnswer(msgspec.Struct, kw_only=True):
    id: Raw
    jsonrpc: str = "2.0"
    result: Any


class _ErrorAnswer(msgspec.Struct, kw_only=True):
    id: Raw
    jsonrpc: str = "2.0"
    error: _Failure


class _GidParameter(msgspec.Struct, kw_only=True):
    gid: str


class _NotificationMessage(msgspec.Struct, kw_only=True):
    jsonrpc: str = "2.0"
    method: str
    params: tuple[_GidParameter]


# -- requests ----------------------------------------------------------------------------------------------------------


def parse_message(data: bytes) -> Message:
    """Return the message of a request body or a WebSocket message; what is wrong with it is an error of the message."""
    try:
        return _parse(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Message.refused(parse_error())


def parse_query(values: Mapping[str, str]) -> Message:
    """Return the message of the raw values in a query: `method`, `id` and `params`, in Base64 and percent-encoded.

    Without method and id, `params` is the whole message.
    """
    texts = {
        name: decode_percent(values[name], errors="replace") for name in ("method", "id", "params") if name in values
    }
    params = _decode_base64(texts["params"]) if "params" in texts else None
    if "method" not in texts and "id" not in texts:
        return Message.refused(invalid_request()) if params is None else parse_message(params)
    id = Raw(msgspec.json.encode(texts["id"])) if "id" in texts else _NULL
    if "method" not in texts or "id" not in texts:
        return Message.refused(invalid_request(), id)
    try:
        decoded = _decode_params(params, is_given="params" in texts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Message.refused(invalid_request(), id)
    return _make_message([(id, _make_call(texts["method"], decoded))])


def parse_callback(values: Mapping[str, str]) -> str | None:
    """Return the function that a JSONP answer calls; None if the raw values of a query ask for plain JSON.

    Raises:
        RpcError: it is not an identifier, and the answer would be a script of whoever made the link.
    """
    if "jsoncallback" not in values:
        return None
    name = decode_percent(values["jsoncallback"], errors="replace")
    if len(name) > MAX_CALLBACK_CHARACTERS or not _CALLBACK.fullmatch(name):
        raise invalid_request()
    return name


def _parse(data: bytes) -> Message:
    if data.lstrip(_WHITESPACE)[:1] != b"[":
        return _make_message([_parse_member(data)])
    members = msgspec.json.decode(data, type=list[Raw])
    if len(members) > MAX_CALLS:
        return Message.refused(invalid_request())
    return _make_message([_parse_member(bytes(each)) for each in members], is_batch=True)


def _make_message(members: list[tuple[Raw, Call | RpcError]], *, is_batch: bool = False) -> Message:
    return Message(
        requests=[Request(id=id, error=each if isinstance(each, RpcError) else None) for id, each in members],
        calls=[each for _, each in members if isinstance(each, Call)],
        is_batch=is_batch,
    )


def _parse_member(data: bytes) -> tuple[Raw, Call | RpcError]:
    if data.lstrip(_WHITESPACE)[:1] != b"{":
        # It must be JSON all the same.
        msgspec.json.decode(data)
        return _NULL, invalid_request()
    envelope = msgspec.json.decode(data, type=_Envelope)
    if isinstance(envelope.id, UnsetType):
        return _NULL, invalid_request()
    # Invalid UTF-8 in raw JSON is noticed only here.
    msgspec.json.decode(envelope.id)
    # A copy, because the original keeps the whole message in memory.
    return envelope.id.copy(), _make_call(envelope.method, envelope.params)


def _make_call(method: Any, params: Any) -> Call | RpcError:
    if not isinstance(method, str):
        return invalid_request()
    if params is UNSET:
        return Call(method=method)
    return Call(method=method, params=params) if isinstance(params, list) else invalid_params()


def _decode_params(params: bytes | None, *, is_given: bool) -> Any:
    if not is_given:
        return UNSET
    if params is None:
        raise msgspec.DecodeError("not Base64")
    return msgspec.json.decode(params)


def _decode_base64(text: str) -> bytes | None:
    """Return the bytes of a text in Base64, with or without padding, in either alphabet of RFC 4648."""
    digits = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        return None


# -- answers -----------------------------------------------------------------------------------------------------------


def match_outcomes(message: Message, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcome of each member of a message, given those of its calls."""
    remaining = iter(outcomes)
    return [next(remaining) if each.error is None else Outcome(error=each.error) for each in message.requests]


def encode_answer(message: Message, outcomes: Sequence[Outcome], callback: str | None = None) -> bytes:
    """Return the answer to a message, given the outcome of each member; with `callback` as a script that calls it."""
    answers = [_make_answer(each.id, outcome) for each, outcome in zip(message.requests, outcomes, strict=True)]
    encoded = _encode(answers if message.is_batch else answers[0])
    return encoded if callback is None else b"%b(%b)" % (callback.encode(), encoded)


def encode_notification(method: str, gid: str) -> bytes:
    """Return a notification of the download with this gid."""
    return msgspec.json.encode(_NotificationMessage(method=method, params=(_GidParameter(gid=gid),)))


def _make_answer(id: Raw, outcome: Outcome) -> _ResultAnswer | _ErrorAnswer:
    if outcome.error is not None:
        return _ErrorAnswer(id=id, error=_make_failure(outcome.error))
    return _ResultAnswer(id=id, result=outcome.result)


def _make_failure(error: RpcError) -> _Failure:
    return _Failure(code=error.code, message=error.message)


def _encode_other(value: Any) -> Any:
    # A call within system.multicall that failed.
    if isinstance(value, RpcError):
        return _make_failure(value)
    if isinstance(value, EncodedList):
        return value.json
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_encode: Final = msgspec.json.Encoder(enc_hook=_encode_other).encode
