"""XML-RPC, as aria2 speaks it: a document to a call, an outcome to a document.

Pure: no I/O and no clock.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape

import msgspec

from downloadd.fronts.aria2.calls import Call, EncodedList, Outcome
from downloadd.fronts.aria2.errors import METHOD_FAILED, RpcError
from downloadd.fronts.aria2.wire.envelope import invalid_request, parse_error

MAX_DEPTH: Final = 100
"""Levels of elements; a list in a list has three of its own."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,100}", re.ASCII)
_INVALID_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain."""
_BOOLEANS: Final = {"0": False, "1": True, "false": False, "true": True}
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?><methodResponse>'

_PARENTS: Final[dict[str, frozenset[str]]] = {
    "methodCall": frozenset({""}),
    "methodName": frozenset({"methodCall"}),
    "params": frozenset({"methodCall"}),
    "param": frozenset({"params"}),
    "value": frozenset({"param", "data", "member"}),
    "data": frozenset({"array"}),
    "member": frozenset({"struct"}),
    "name": frozenset({"member"}),
    **dict.fromkeys(
        ("i4", "i8", "int", "string", "boolean", "double", "base64", "dateTime.iso8601", "nil", "array", "struct"),
        frozenset({"value"}),
    ),
}
"""Elements with those that may contain them; "" is the document."""
_TEXT_ELEMENTS: Final = frozenset(
    {*("methodName", "name", "value", "i4", "i8", "int", "string", "boolean", "double", "base64", "dateTime.iso8601")}
)


class _Element:
    """An open element, with what it has contained so far."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.children: list[Any] = []


class XmlCallParser:
    """Parser of one `methodCall`, which takes the document in pieces."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._parser.ExternalEntityRefHandler = self._refuse
        self._parser.StartElementHandler = self._open
        self._parser.EndElementHandler = self._close
        self._parser.CharacterDataHandler = self._add_text
        self._elements = [_Element("")]
        self._method = ""
        self._params: list[Any] = []

    def feed(self, data: bytes) -> None:
        """Parse the next piece of the document.

        Raises:
            RpcError: it is not XML, it has a document type or an entity, or it is not a call.
        """
        self._parse(data, is_final=False)

    def close(self) -> Call:
        """Return the call.

        Raises:
            RpcError: the document ends too early.
        """
        self._parse(b"", is_final=True)
        return Call(method=self._method, params=self._params)

    def _parse(self, data: bytes, *, is_final: bool) -> None:
        try:
            self._parser.Parse(data, is_final)
        except (expat.ExpatError, LookupError, ValueError):
            # LookupError and ValueError are those of an encoding that Python does not have.
            raise parse_error() from None

    def _refuse(self, *_: object) -> int:
        raise parse_error()

    def _open(self, name: str, _: dict[str, str]) -> None:
        parent = self._elements[-1]
        if parent.name not in _PARENTS.get(name, ()) or len(self._elements) > MAX_DEPTH:
            raise invalid_request()
        if parent.name == "value" and parent.children:
            raise invalid_request()
        self._elements.append(_Element(name))

    def _add_text(self, text: str) -> None:
        element = self._elements[-1]
        if element.name in _TEXT_ELEMENTS:
            element.text.append(text)
        elif text.strip():
            raise invalid_request()

    def _close(self, name: str) -> None:
        element = self._elements.pop()
        match name:
            case "methodName":
                self._method = "".join(element.text)
            case "param":
                self._params.extend(element.children)
            case "methodCall" | "params":
                pass
            case _:
                self._elements[-1].children.append(_read_element(element))


def parse_call(data: bytes) -> Call:
    """Return the call of a whole document.

    Raises:
        RpcError: it is not a call in XML.
    """
    parser = XmlCallParser()
    parser.feed(data)
    return parser.close()


def _read_element(element: _Element) -> Any:
    """Return the value of an element; that of a member is a pair, and that of a data element a list.

    Raises:
        RpcError: its content has the wrong form.
    """
    text = "".join(element.text)
    match element.name:
        case "value":
            # Text around the type of a value does not count.
            return element.children[0] if element.children else text
        case "string" | "name" | "dateTime.iso8601":
            return text
        case "i4" | "i8" | "int" | "boolean" | "double" | "base64":
            return _read_scalar(element.name, text.strip())
        case "nil":
            return None
        case "data":
            return element.children
        case "array":
            return _single(element.children)
        case "member":
            return _read_member(element.children)
        case _:
            return dict(element.children)


def _read_scalar(type: str, text: str) -> Any:
    try:
        match type:
            case "boolean":
                return _BOOLEANS[text]
            case "double":
                return float(text)
            case "base64":
                return b64decode("".join(text.split()), validate=True)
            case _ if _INTEGER.fullmatch(text):
                return int(text)
    except (KeyError, ValueError, binascii.Error):
        pass
    raise invalid_request()


def _read_member(children: list[Any]) -> tuple[str, Any]:
    if len(children) != 2 or not isinstance(children[0], str):
        raise invalid_request()
    return children[0], children[1]


def _single(children: list[Any]) -> Any:
    if len(children) != 1:
        raise invalid_request()
    return children[0]


# -- answers -----------------------------------------------------------------------------------------------------------


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the answer to a call."""
    if outcome.error is not None:
        return encode_fault(outcome.error)
    value = msgspec.to_builtins(outcome.result, enc_hook=_encode_other, str_keys=True)
    return f"{_HEAD}<params><param>{''.join(_render(value))}</param></params></methodResponse>".encode()


def encode_fault(error: RpcError) -> bytes:
    """Return the answer to a call that failed."""
    return f"{_HEAD}<fault>{''.join(_render(_make_fault(error)))}</fault></methodResponse>".encode()


def _make_fault(error: RpcError) -> dict[str, Any]:
    # Negative codes are those of JSON-RPC; aria2 sends 1 for every fault.
    return {"faultCode": max(error.code, METHOD_FAILED), "faultString": error.message}


def _encode_other(value: Any) -> Any:
    # A call within system.multicall that failed.
    if isinstance(value, RpcError):
        return _make_fault(value)
    if isinstance(value, EncodedList):
        return value.decode()
    raise TypeError(f"{type(value).__name__} has no form in XML-RPC")


def _render(value: Any) -> Iterator[str]:
    yield "<value>"
    match value:
        case str():
            yield f"<string>{_escape(value)}</string>"
        case bool():
            yield f"<boolean>{value:d}</boolean>"
        case int():
            yield f"<int>{value}</int>"
        case float():
            yield f"<double>{value!r}</double>"
        case None:
            yield "<nil/>"
        case dict():
            yield "<struct>"
            for name, member in value.items():
                yield f"<member><name>{_escape(name)}</name>"
                yield from _render(member)
                yield "</member>"
            yield "</struct>"
        case _:
            yield "<array><data>"
            for each in value:
                yield from _render(each)
            yield "</data></array>"
    yield "</value>"


def _escape(text: str) -> str:
    return escape(_INVALID_IN_XML.sub("\ufffd", text))
