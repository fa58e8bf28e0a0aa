"""Header fields of a request to an origin: those of the daemon, of the configuration and of the download.

The request fields of a download go to the origin of its URL alone; those of the configuration to their host alone, and
after a redirect only by TLS on the default port, unless that is the origin of the URL.

Pure: no I/O and no clock.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from downloadd import __version__
from downloadd.policy.redirects import may_keep_credentials
from downloadd.policy.url import DEFAULT_PORTS, AllowedUrl
from downloadd.request_fields import Credentials, Method, Pairs, RequestFields, join_cookies

_DEFAULTS: Final = (
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", f"downloadd/{__version__}"),
)
_CONTENT_NAMES: Final = frozenset({"content-encoding", "content-language", "content-location", "content-type"})
"""Fields that describe a body, and are not sent without one (RFC 9110, section 15.4)."""
_NOTHING: Final = RequestFields()


def build_request_fields(
    target: AllowedUrl,
    first: AllowedUrl,
    *,
    method: Method = Method.GET,
    range_fields: Pairs = (),
    given: RequestFields | None = None,
    by_host: Mapping[str, RequestFields],
    cookies: Pairs = (),
    authorization: str | None = None,
) -> list[tuple[str, str]]:
    """Return the header fields of one request, without those that frame it.

    Args:
        target: the URL of the request.
        first: the URL before redirects.
        method: the method of this request; a redirect may have changed it.
        range_fields: Range and If-Range.
        given: the request fields of the download.
        by_host: the configured fields by host.
        cookies: names and values of the cookies that responses have set for the target.
        authorization: the value of Authorization; replaces one that a header field states. None for none.
    """
    selected = _select(target, first, given, by_host)
    pairs = [*_DEFAULTS, *(pair for fields in selected for pair in _header_pairs(fields))]
    sent = {name.lower(): (name, value) for name, value in pairs}
    if authorization is not None:
        sent["authorization"] = ("Authorization", authorization)
    if method is Method.GET:
        sent = {name: pair for name, pair in sent.items() if name not in _CONTENT_NAMES}
    all_cookies = _merge_cookies(selected, list(cookies))
    if all_cookies:
        sent["cookie"] = ("Cookie", join_cookies(all_cookies))
    return [*sent.values(), *range_fields]


def select_user(
    target: AllowedUrl, first: AllowedUrl, *, given: RequestFields | None, by_host: Mapping[str, RequestFields]
) -> Credentials | None:
    """Return user and password for the target; None if there are none, or a header field states the authorization.

    Those of the request have precedence over the userinfo of its URL, and both over the configuration. Userinfo in a
    redirect is from the origin, not from the user, and is not used (RFC 9110, section 4.2.4).
    """
    if may_keep_credentials(first, target):
        if given is not None and given.has_header("authorization"):
            return None
        if given is not None and given.auth is not None:
            return given.auth
        if first.userinfo is not None:
            return Credentials(user=first.userinfo[0], password=first.userinfo[1])
    configured = _configured(target, first, by_host)
    return configured.auth


def states_authorization(
    target: AllowedUrl, first: AllowedUrl, *, given: RequestFields | None, by_host: Mapping[str, RequestFields]
) -> bool:
    """Return True if a header field of the download or of the configuration states the authorization for the target."""
    return any(fields.has_header("authorization") for fields in _select(target, first, given, by_host))


def encode_basic(credentials: Credentials) -> str:
    """Return the value of Authorization for Basic authentication, with UTF-8 (RFC 7617)."""
    return f"Basic {b64encode(f'{credentials.user}:{credentials.password}'.encode()).decode()}"


def _select(
    target: AllowedUrl, first: AllowedUrl, given: RequestFields | None, by_host: Mapping[str, RequestFields]
) -> list[RequestFields]:
    """Return the fields that may be sent to the target, the strongest last."""
    selected = [_configured(target, first, by_host)]
    if given is not None and may_keep_credentials(first, target):
        selected.append(given)
    return selected


def _header_pairs(fields: RequestFields) -> Iterator[tuple[str, str]]:
    yield from fields.headers
    if fields.referer is not None:
        yield "Referer", fields.referer
    if fields.user_agent is not None:
        yield "User-Agent", fields.user_agent


def _merge_cookies(selected: Sequence[RequestFields], newer: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return given cookies, without those that a response has replaced, and then the newer ones."""
    replaced = {name for name, _ in newer}
    given = {name: value for fields in selected for name, value in fields.cookies if name not in replaced}
    return [*given.items(), *newer]


def _configured(target: AllowedUrl, first: AllowedUrl, by_host: Mapping[str, RequestFields]) -> RequestFields:
    configured = by_host.get(target.host)
    # A redirect must not send a secret without TLS, or to another service of the same host.
    if configured is None or not (may_keep_credentials(first, target) or _is_default_https(target)):
        return _NOTHING
    return configured


def _is_default_https(url: AllowedUrl) -> bool:
    return url.scheme == "https" and url.port == DEFAULT_PORTS["https"]
