"""Evidence that a file which an earlier download has published has the bytes of a representation.

Only a strong entity tag counts (RFC 9110, section 8.8.3), for the same URL, length and content coding. Pure: no I/O and
no clock.
"""

import hashlib

from downloadd.download import Download, ResumedBy
from downloadd.errors import InvalidUrlError
from downloadd.policy.redaction import redact_url
from downloadd.policy.url import parse_url
from downloadd.request_fields import Method
from downloadd.transfer.fields import is_entity_tag
from downloadd.transfer.representation import Representation, have_other_digest

_WEAK_EVIDENCE = frozenset({ResumedBy.DIGEST, ResumedBy.OVERLAP})
"""Evidence under which the bytes need not be those of the entity tag."""


def resource_of_url(url: str) -> str | None:
    """Return the digest of a URL by which downloads of the same resource are found.

    None for a URL with secrets in path or query: the history does not have them, and a secret may select the file.
    """
    try:
        text = parse_url(url).text
    except InvalidUrlError:
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:32] if redact_url(text) == text else None


def resource_of(download: Download) -> str | None:
    """Return the `Result.resource` of a download that is complete; None if its file cannot be recognised later.

    The entity tag of a download with mirrors may be that of any of them.
    """
    progress, request = download.progress, download.request
    if request.method is not Method.GET or request.mirrors or progress.total is None:
        return None
    if not is_strong_tag(progress.validator) or progress.resumed_by in _WEAK_EVIDENCE:
        return None
    return resource_of_url(request.url)


def is_strong_tag(validator: str | None) -> bool:
    """Return True for a strong entity tag."""
    return validator is not None and is_entity_tag(validator) and not validator.startswith("W/")


def may_share(known: Download, download: Download) -> bool:
    """Return True if the file of a completed download may be that of another one.

    Some origins have one entity tag for the files of all accounts. What was, or will be, requested with credentials of
    a user is shared with no other user.
    """
    return known.user == download.user or not (known.result.secrets_removed or _has_secrets(download))


def _has_secrets(download: Download) -> bool:
    request = download.request
    is_secret = request.fields is not None and request.fields.is_secret
    # The fragment is not sent to an origin.
    return is_secret or redact_url(request.url) != request.url.partition("#")[0]


def is_same_version(known: Download, found: Representation, *, final_url_digest: str | None) -> bool:
    """Return True if a completed download of the same URL has the version that the origin has now.

    `final_url_digest` is that of the response. Origins use one entity tag for several codings, and another URL may have
    the same one by chance.
    """
    progress = known.progress
    return (
        is_strong_tag(found.validator)
        and (progress.validator, progress.total) == (found.validator, found.total)
        and progress.coding == found.coding
        and progress.final_url_digest == final_url_digest
        and not have_other_digest(progress.origin_digests, found.origin_digests)
    )
