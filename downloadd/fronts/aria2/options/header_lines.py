"""Lines of the option `header`, and the options beside it, as request fields.

Pure: no I/O and no clock.
"""

from collections.abc import Iterator
from typing import Any, Final

from downloadd import __version__
from downloadd.fronts.aria2.options.options import HEADER, Options, bad_option
from downloadd.policy.redaction import redact_url
from downloadd.request_fields import Credentials, RequestFields, collect_request_fields, join_cookies

DEFAULT_USER_AGENT: Final = f"downloadd/{__version__}"
"""User-Agent of requests unless a download has one of its own."""

FIELD_OPTIONS: Final = frozenset({HEADER, "referer", "user-agent", "http-user", "http-passwd"})
"""Options that become request fields."""

IGNORED_NAMES: Final = frozenset(
    {"accept-encoding", "connection", "keep-alive", "proxy-connection", "te", "upgrade", "upgrade-insecure-requests"}
)
"""Header fields about the connection. Browser extensions send them on, but the daemon manages its own connections."""

_LAST_WINS: Final = frozenset({"authorization", "referer", "user-agent"})
"""Header fields with a single value; of other repeated ones, the values are joined (RFC 9110, section 5.3)."""

_OPTION_OF_PARAMETER: Final = {"referer": "referer", "user_agent": "user-agent", "auth": "http-user"}


def make_field_parameters(options: Options, url: str) -> dict[str, Any]:
    """Return the request fields of options, as keyword arguments of a `RequestFieldParameters`.

    A field in `header` has precedence over the option for it.

    Raises:
        RpcError: a value cannot be sent.
    """
    headers = _read_lines(options.get(HEADER, ""))
    names = {name.lower() for name in headers}
    parameters: dict[str, Any] = {"headers": headers}
    referer = _find_referer(options.get("referer", ""), url)
    if referer and "referer" not in names:
        parameters["referer"] = referer
    user_agent = options.get("user-agent", "")
    if user_agent and user_agent != DEFAULT_USER_AGENT and "user-agent" not in names:
        parameters["user_agent"] = user_agent
    user = options.get("http-user", "")
    if user and "authorization" not in names:
        parameters["auth"] = Credentials(user=user, password=options.get("http-passwd", ""))
    _, problems = collect_request_fields(**{**parameters, "headers": headers.items()})
    for parameter, problem in problems:
        raise bad_option(_OPTION_OF_PARAMETER.get(parameter, HEADER), problem)
    return parameters


def format_fields(fields: RequestFields | None) -> Iterator[tuple[str, str]]:
    """Yield the options that stand for request fields, by their names."""
    if fields is None:
        return
    lines = [f"{name}: {value}" for name, value in fields.headers]
    if fields.cookies:
        lines.append(f"Cookie: {join_cookies(fields.cookies)}")
    if lines:
        yield HEADER, "\n".join(lines)
    if fields.referer is not None:
        yield "referer", fields.referer
    if fields.user_agent is not None:
        yield "user-agent", fields.user_agent
    if fields.auth is not None:
        yield "http-user", fields.auth.user
        yield "http-passwd", fields.auth.password


def _read_lines(text: str) -> dict[str, str]:
    """Return the header fields of lines, by their names."""
    found: dict[str, tuple[str, str]] = {}
    for line in filter(str.strip, text.split("\n")):
        name, colon, value = (part.strip(" \t") for part in line.partition(":"))
        if not colon:
            raise bad_option(HEADER, "expected a name, a colon and a value")
        folded = name.lower()
        if folded in IGNORED_NAMES:
            continue
        if folded in found:
            name, value = found[folded][0], _join(folded, found[folded][1], value)
        found[folded] = name, value
    return dict(found.values())


def _join(name: str, earlier: str, later: str) -> str:
    if name in _LAST_WINS or earlier == later:
        return later
    return f"{earlier}; {later}" if name == "cookie" else f"{earlier}, {later}"


def _find_referer(text: str, url: str) -> str:
    if text != "*":
        return text
    # The URL itself; one with secrets is not repeated in a field.
    own = url.partition("#")[0]
    return own if redact_url(own) == own else ""
