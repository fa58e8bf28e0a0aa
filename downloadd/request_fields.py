"""Request fields of a download: what its requests send to the origin besides the URL. They are secrets.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from downloadd.errors import InvalidParameterError

MAX_HEADERS: Final = 100
"""Header fields of one request."""
MAX_COOKIES: Final = 100
"""Cookies of one request."""
MAX_FIELD_BYTES: Final = 64 * 1024
"""Bytes of all header fields of one request together, cookies included; most servers refuse more than 8 to 64 KiB."""
MAX_BODY_BYTES: Final = 1024 * 1024
"""Bytes of the body of one request."""

HTTP_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110, section 5.6.2), such as the name of a field."""
INVALID_IN_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""Characters that no field value may hold (RFC 9110, section 5.5). A surrogate is an octet that is not UTF-8."""

_OWN: Final = "downloadd sets it itself"
_CONNECTION: Final = "it concerns the connection, which downloadd manages"
_FRAMING: Final = "it frames the body, whose length downloadd states"
_RANGES: Final = "downloadd sets it to resume transfers"
REFUSED_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accept-encoding": "downloadd asks for the file itself, without a content coding",
        "connection": _CONNECTION,
        "content-length": _FRAMING,
        "expect": _OWN,
        "host": "it is taken from the URL",
        "http2-settings": _CONNECTION,
        "if-match": _RANGES,
        "if-modified-since": _RANGES,
        "if-none-match": _RANGES,
        "if-range": _RANGES,
        "if-unmodified-since": _RANGES,
        "keep-alive": _CONNECTION,
        "range": _RANGES,
        "te": _CONNECTION,
        "trailer": _FRAMING,
        "transfer-encoding": _FRAMING,
        "upgrade": _CONNECTION,
    }
)
"""Header fields that no request may state, in lower case, with the reason."""
_PROXY_PREFIX: Final = "proxy-"

_MAX_SHOWN_NAME_CHARACTERS: Final = 64
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_INVALID_IN_REFERER: Final = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_INVALID_IN_COOKIE_NAME: Final = re.compile(r"[\x00-\x20\x7f=;,\"\ud800-\udfff]")
_INVALID_IN_COOKIE_VALUE: Final = re.compile(r"[\x00-\x1f\x7f;\ud800-\udfff]")
"""Characters that end a cookie or break the line; RFC 6265, section 4.1.1, forbids more, which servers send in fact."""
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


Pairs = Iterable[tuple[str, str]]
"""Names and values."""


class Method(StrEnum):
    """Method of the request for a file."""

    GET = "GET"
    POST = "POST"


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """User and password for an origin or a proxy."""

    user: str
    password: str = ""

    def __repr__(self) -> str:
        """Return the name of the type only, so that no log or traceback shows a secret."""
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return nothing."""
        return []


# The garbage collector does not track it, as the parts of a download: it holds tuples of strings only.
class RequestFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Request fields of one download."""

    headers: tuple[tuple[str, str], ...] = ()
    """Further header fields by name, none of which has a field of its own here."""
    cookies: tuple[tuple[str, str], ...] = ()
    referer: str | None = None
    user_agent: str | None = None
    auth: Credentials | None = None
    proxy: str | None = None
    """Name of a configured proxy."""
    method: Method = Method.GET
    body: str | None = None
    """Sent as UTF-8."""

    def __repr__(self) -> str:
        """Return the names of the given fields only, so that no log or traceback shows a secret."""
        return f"{type(self).__name__}({', '.join(self._given_names())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the names of the given fields only."""
        return [("given", self._given_names())]

    def _given_names(self) -> list[str]:
        defaults = RequestFields()
        return [name for name in self.__struct_fields__ if getattr(self, name) != getattr(defaults, name)]

    def has_header(self, name: str) -> bool:
        """Return True if `headers` has the field of this name, in lower case."""
        return any(given.lower() == name for given, _ in self.headers)

    def to_parameters(self) -> dict[str, Any]:
        """Return the fields as the parameters of a download request."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return given | {"headers": dict(self.headers), "cookies": dict(self.cookies)}

    def for_other_origin(self) -> "RequestFields | None":
        """Return what applies to requests to another origin than that of the URL: the proxy alone."""
        return None if self.proxy is None else RequestFields(proxy=self.proxy)

    @property
    def is_secret(self) -> bool:
        """True if it holds more than the name of a proxy."""
        return self != RequestFields(proxy=self.proxy)


def parse_request_fields(
    *,
    headers: Pairs = (),
    cookies: Pairs = (),
    referer: str | None = None,
    user_agent: str | None = None,
    **others: Any,
) -> RequestFields | None:
    """Return checked request fields; None if nothing is given. `others` are further fields of `RequestFields`.

    Raises:
        InvalidParameterError: a value cannot be sent; the message holds no value.
    """
    fields, problems = collect_request_fields(
        headers=headers, cookies=cookies, referer=referer, user_agent=user_agent, **others
    )
    for parameter, problem in problems:
        raise InvalidParameterError(parameter, problem)
    return None if fields == RequestFields() else fields


def collect_request_fields(
    *,
    headers: Pairs = (),
    cookies: Pairs = (),
    referer: str | None = None,
    user_agent: str | None = None,
    **others: Any,
) -> tuple[RequestFields, list[tuple[str, str]]]:
    """Return request fields, and parameter and problem of everything in them that cannot be sent.

    The header fields Cookie, Referer and User-Agent become the fields that are named after them. `others` are further
    fields of `RequestFields`. No value of a field is in a problem.
    """
    kept: list[tuple[str, str]] = []
    problems: list[tuple[str, str]] = []
    own: dict[str, str | None] = {"cookie": None, "referer": referer, "user-agent": user_agent}
    pairs = tuple(cookies)
    for name, value in headers:
        folded = name.lower()
        if folded not in own:
            kept.append((name, value.strip(" \t")))
        elif own[folded] is not None or (folded == "cookie" and pairs):
            problems.append(("headers", f"{name} is given twice"))
        else:
            own[folded] = value.strip(" \t")
    fields = RequestFields(
        headers=tuple(kept),
        cookies=pairs if own["cookie"] is None else split_cookies(own["cookie"]),
        referer=own["referer"] or None,
        user_agent=own["user-agent"] or None,
        **others,
    )
    return fields, [*problems, *_find_problems(fields)]


def split_cookies(text: str) -> tuple[tuple[str, str], ...]:
    """Return names and values of the field Cookie (RFC 6265, section 4.2.1), unchecked."""
    pairs = (part.strip().partition("=") for part in text.split(";") if part.strip())
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def join_cookies(cookies: Pairs) -> str:
    """Return the value of the field Cookie (RFC 6265, section 4.2.1)."""
    return "; ".join(f"{name}={value}" for name, value in cookies)


def find_user_problems(user: str, password: str) -> Iterator[tuple[str, str]]:
    """Yield `user` or `password` with its problem if HTTP authentication cannot send it (RFC 7617, section 2)."""
    for name, text in (("user", user), ("password", password)):
        if _CONTROL_CHARACTER.search(text):
            yield name, "may not hold control characters"
    if ":" in user:
        yield "user", "may not hold a colon"


def _find_problems(fields: RequestFields) -> Iterator[tuple[str, str]]:
    yield from _find_header_problems(fields.headers)
    yield from _find_cookie_problems(fields.cookies)
    if fields.referer is not None and _INVALID_IN_REFERER.search(fields.referer):
        yield "referer", "holds a space, a line break or another control character; expected a URL"
    if fields.user_agent is not None and INVALID_IN_VALUE.search(fields.user_agent):
        yield "user_agent", "holds a line break or another control character"
    yield from _find_auth_problems(fields)
    yield from _find_body_problems(fields)
    if _field_bytes(fields) > MAX_FIELD_BYTES:
        yield "headers", f"all header fields and cookies together are longer than {MAX_FIELD_BYTES >> 10} KiB"


def _find_header_problems(headers: Pairs) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    number = 0
    for number, (name, value) in enumerate(headers, 1):
        folded = name.lower()
        is_token = HTTP_TOKEN.fullmatch(name) is not None
        # A name that is none may be a part of a value.
        shown = name if is_token and len(name) <= _MAX_SHOWN_NAME_CHARACTERS else f"number {number}"
        if not is_token:
            yield "headers", f"the name of header field {shown} is not one that HTTP can send"
        elif folded in REFUSED_NAMES:
            yield "headers", f"{name} cannot be set: {REFUSED_NAMES[folded]}"
        elif folded.startswith(_PROXY_PREFIX):
            yield "headers", f"{name} cannot be set: it is for proxies, which the configuration describes"
        elif folded in seen:
            yield "headers", f"{shown} is given twice"
        if INVALID_IN_VALUE.search(value):
            yield "headers", f"the value of header field {shown} holds a line break or another control character"
        seen.add(folded)
    if number > MAX_HEADERS:
        yield "headers", f"expected at most {MAX_HEADERS} header fields"


def _find_cookie_problems(cookies: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    for number, (name, value) in enumerate(cookies, 1):
        if not name or _INVALID_IN_COOKIE_NAME.search(name):
            yield "cookies", f'the name of cookie number {number} is empty, or holds a space, =, ;, a comma or "'
        if _INVALID_IN_COOKIE_VALUE.search(value) or value != value.strip(" "):
            yield "cookies", f"the value of cookie number {number} holds ; or a control character, or a space at an end"
    if len(cookies) > MAX_COOKIES:
        yield "cookies", f"expected at most {MAX_COOKIES} cookies"


def _find_auth_problems(fields: RequestFields) -> Iterator[tuple[str, str]]:
    if fields.auth is None:
        return
    for name, problem in find_user_problems(fields.auth.user, fields.auth.password):
        yield "auth", f"{name} {problem}"
    if not fields.auth.user:
        yield "auth", "user may not be empty"
    if fields.has_header("authorization"):
        yield "auth", "is given beside the header field Authorization; only one of them can be sent"


def _find_body_problems(fields: RequestFields) -> Iterator[tuple[str, str]]:
    if fields.body is None:
        return
    if fields.method is not Method.POST:
        yield "body", "is given without the method POST"
    if _SURROGATE.search(fields.body):
        yield "body", "holds half of a surrogate pair, which UTF-8 cannot encode"
    elif len(fields.body.encode()) > MAX_BODY_BYTES:
        yield "body", f"is longer than {MAX_BODY_BYTES >> 10} KiB"


def _field_bytes(fields: RequestFields) -> int:
    auth = () if fields.auth is None else (fields.auth.user, fields.auth.password)
    texts = [fields.referer or "", fields.user_agent or "", *auth]
    texts += [text for pair in (*fields.headers, *fields.cookies) for text in pair]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
