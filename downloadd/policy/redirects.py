"""Redirects: the target of a `Location`, and the method and credentials that may be sent to it.

Pure: no I/O and no clock.
"""

import re
from typing import Final

from downloadd.errors import (
    DomainBlockedError,
    InvalidUrlError,
    RemoteError,
    TooManyRedirectsError,
)
from downloadd.policy.policy import Policy
from downloadd.policy.url import DEFAULT_PORTS, AllowedUrl, parse_url
from downloadd.request_fields import Method

MAX_REDIRECTS: Final = 10
"""Redirects that a request follows."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def resolve_redirect(
    current: AllowedUrl,
    location: str | None,
    hops: int,
    policy: Policy,
    limit: int = MAX_REDIRECTS,
    *,
    status: int = 302,
) -> AllowedUrl:
    """Return the target of a redirect, if the policy allows it.

    A relative reference is resolved (RFC 3986, section 5.2), dot segments only if the reference has some itself, so
    that all other bytes stay as the origin wrote them. A fragment is dropped, since a request has none (RFC 9110,
    section 10.2.2). A redirect from https to http is allowed; credentials are not sent there (`may_keep_credentials`).

    Args:
        current: the URL that answered with the redirect.
        location: the value of the field, bytes that are not UTF-8 as surrogates U+DC80 to U+DCFF; None if missing.
        hops: number of redirects so far, this one included.
        policy: the rules for the target.
        limit: maximum of `hops`.
        status: status of the redirect, for the message.

    Raises:
        TooManyRedirectsError: `hops` is over `limit`.
        RemoteError: Location is missing or malformed.
        InvalidUrlError: the scheme of the target is neither http nor https.
        DomainBlockedError: the policy forbids the target.
    """
    if hops > limit:
        raise TooManyRedirectsError(limit)
    if location is None:
        raise RemoteError(status, "a redirect without Location")
    location = location.strip(" \t")
    found = _SCHEME.match(location)
    if found is not None and found[1].lower() not in DEFAULT_PORTS:
        raise InvalidUrlError("the origin redirects to a URL whose scheme is neither http nor https")
    try:
        target = parse_url(location if found is not None else _resolve(current, location))
    except InvalidUrlError as error:
        raise RemoteError(status, f"its Location is malformed: {error.detail}") from error
    try:
        return policy.allow(target)
    except DomainBlockedError as error:
        raise DomainBlockedError(f"the origin redirects to a forbidden place: {error.detail}") from error


def may_keep_credentials(source: AllowedUrl, target: AllowedUrl) -> bool:
    """Return True if credentials for `source` may go to `target`: to the same origin (RFC 9110, section 4.3.1)."""
    return source.origin == target.origin


def method_after_redirect(method: Method, status: int, source: AllowedUrl, target: AllowedUrl) -> Method:
    """Return the method of the request to the target of a redirect, as browsers choose it.

    After 303, and after 301 and 302 to a POST, it is GET without a body (RFC 9110, section 15.4). Otherwise method and
    body stay, and go to the same origin only.

    Raises:
        RemoteError: the redirect leads a POST to another origin.
    """
    if method is Method.GET or status in {301, 302, 303}:
        return Method.GET
    if not may_keep_credentials(source, target):
        raise RemoteError(
            status, "it redirects a POST to another origin, and the body is sent to the origin of the URL alone"
        )
    return method


def _resolve(current: AllowedUrl, reference: str) -> str:
    """Resolve a relative reference (RFC 3986, section 4.2) against `current`."""
    if reference.startswith("//"):
        return f"{current.scheme}:{reference}"
    root = current.text.removesuffix(current.request_target)
    reference = reference.partition("#")[0]
    if not reference:
        return current.text
    if reference.startswith("/"):
        return root + reference
    path = current.request_target.partition("?")[0]
    if reference.startswith("?"):
        return root + path + reference
    relative, mark, query = reference.partition("?")
    merged = path[: path.rindex("/") + 1] + relative
    if any(segment in (".", "..") for segment in relative.split("/")):
        merged = _remove_dot_segments(merged)
    return root + merged + mark + query


def _remove_dot_segments(path: str) -> str:
    """Remove the dot segments of a path that begins with a slash (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
