"""Parser of the request target, without normalisation.

A framework would resolve dot segments, decode `%2F` too late and turn `+` into a space inside of a URL; so path and
query are taken from the request line (RFC 9112, section 3.2). Pure: no I/O and no clock.
"""

from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec

from downloadd.errors import InvalidPathError

SELECTORS: Final = ("download", "downloads", "download_history", "files")
"""Query parameters that select the operation of `GET /{directory}`."""

_UNESCAPED_CHARACTERS: Final = "%/?:@!$&'()*+,;=-._~"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query string, split and not decoded."""

    raw: str = ""
    values: dict[str, str] = {}
    """The raw value of each parameter, by its decoded name; the first one where a name is repeated.

    Of a selector, the first value that is not empty: an empty one beside it only marks the operation.
    """
    repeated: dict[str, list[str]] = {}
    """The raw values after the first, by the decoded name, of names that occur more than once."""
    selectors: tuple[str, ...] = ()
    """The names of `SELECTORS` that the query has."""

    def with_cursor(self, cursor: str) -> str:
        """Return the query with another `cursor`, quoted for a `Link` field (RFC 8288)."""
        kept = [parameter for parameter in self.raw.split("&") if parameter and _parameter_name(parameter) != "cursor"]
        return _quote("&".join([*kept, f"cursor={cursor}"]))


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed request target."""

    path: str
    """Below the base path."""
    query: Query
    base_path: str = ""
    is_below_base_path: bool = True
    """True if the requested path is below the base path."""
    authority: str | None = None
    """The authority of a target in absolute form, which replaces `Host` (RFC 9112, section 3.2.2)."""


def parse_target(text: str, base_path: str = "") -> Target:
    """Parse a request target in origin form or in absolute form.

    `base_path` is compared without normalisation.
    """
    authority: str | None = None
    if not text.startswith("/") and "://" in text:
        _, _, rest = text.partition("://")
        before_query, question, query = rest.partition("?")
        authority, _, path = before_query.partition("/")
        text = f"/{path}{question}{query}"
    path, _, query = text.partition("?")
    split = parse_query(query) if query else Query()
    if not base_path:
        return Target(path=path, query=split, authority=authority)
    below = path.removeprefix(base_path)
    is_below_base_path = path.startswith(base_path) and below[:1] in {"", "/"}
    return Target(
        path=(below or "/") if is_below_base_path else path,
        query=split,
        base_path=base_path,
        is_below_base_path=is_below_base_path,
        authority=authority,
    )


def parse_query(raw: str) -> Query:
    """Split a query string at `&` and the first `=` of each parameter.

    An empty value of a selector is left out where that selector is repeated: clients generated from the description of
    the API send the operation of the path and its parameter, as in `?download=&download=<url>`.
    """
    values: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for parameter in raw.split("&"):
        if not parameter:
            continue
        name, _, value = parameter.partition("=")
        if "%" in name or "+" in name or not name.isascii():
            name = decode_form(name, errors="replace")
        if name in values:
            repeated.setdefault(name, []).append(value)
        else:
            values[name] = value
    selectors = tuple([name for name in SELECTORS if name in values])
    for name in selectors:
        if name in repeated:
            first, *others = [value for value in (values[name], *repeated.pop(name)) if value] or [""]
            values[name] = first
            if others:
                repeated[name] = others
    return Query(raw=raw, values=values, repeated=repeated, selectors=selectors)


def decode_percent(text: str, *, errors: str = "strict") -> str:
    """Return the percent-decoded text; `+` stays `+`.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8, and `errors` is "strict".
    """
    if "%" not in text and text.isascii():
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", errors)


def decode_form(text: str, *, errors: str = "strict") -> str:
    """Return the decoded text of application/x-www-form-urlencoded; `+` is a space.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8, and `errors` is "strict".
    """
    return decode_percent(text.replace("+", " "), errors=errors)


def decode_directory(path: str) -> str:
    """Return the directory of a path; `%2F` is a slash, and dot segments stay as they are.

    Raises:
        InvalidPathError: the path is not UTF-8, or is a URL.
    """
    try:
        directory = decode_percent(path).strip("/")
    except UnicodeDecodeError:
        raise InvalidPathError("the directory is not UTF-8; percent-encode its UTF-8 bytes") from None
    if directory.casefold().startswith(("http:/", "https:/")):
        raise InvalidPathError("the directory is a URL; pass the URL in ?download=")
    return directory


def make_next_link(target: Target, cursor: str) -> str:
    """Return the value of a `Link` field to the next page of a listing."""
    return f'<{target.base_path}{_quote(target.path)}?{target.query.with_cursor(cursor)}>; rel="next"'


def _parameter_name(parameter: str) -> str:
    return decode_form(parameter.partition("=")[0], errors="replace")


def _quote(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=_UNESCAPED_CHARACTERS)
