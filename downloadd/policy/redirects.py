"""Redirects: where a `Location` leads, and what may follow it there.

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

MAX_REDIRECTS: Final = 10
"""Redirects that are followed."""

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
    """The target of a redirect, judged like a first request.

    A relative reference is resolved (RFC 3986, section 5.2), dot segments only where it has some itself, so that all
    other bytes go out as the origin wrote them. A fragment is dropped, since no request holds one (RFC 9110, section
    10.2.2). Going from https to http is allowed; credentials do not follow (`may_keep_credentials`).

    Args:
        current: what answered with the redirect.
        location: the field's value, bytes that are not UTF-8 as surrogates U+DC80 to U+DCFF; None when it is missing.
        hops: the redirects so far, this one included.
        policy: what judges the target.
        limit: the most redirects.
        status: the status of the redirect, for the sentence.

    Raises:
        TooManyRedirectsError: `hops` is over `limit`.
        RemoteError: there is no Location, or it is malformed.
        InvalidUrlError: it leads to a scheme other than http and https.
        DomainBlockedError: it leads to where the policy forbids.
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
        policy.check_origin(target)
    except DomainBlockedError as error:
        raise DomainBlockedError(f"the origin redirects to where it may not: {error.detail}") from error
    return target


def may_keep_credentials(source: AllowedUrl, target: AllowedUrl) -> bool:
    """Whether what was meant for `source` may go to `target`: only to the same origin (RFC 9110, section 4.3.1)."""
    return source.origin == target.origin


def _resolve(current: AllowedUrl, reference: str) -> str:
    """The relative-reference of RFC 3986, section 4.2 against `current`."""
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
    """RFC 3986, section 5.2.4, for a path that begins with a slash."""
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
