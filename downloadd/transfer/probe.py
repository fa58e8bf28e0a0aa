"""Probe of a URL: what a download would find there, from the head of a response, without its content.

A probe asks for the first byte. Many origins answer HEAD wrongly, and a range shows the complete length and that ranges
are supported. Pure: no I/O and no clock.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from downloadd.download import Request
from downloadd.policy.redaction import redact_url
from downloadd.policy.url import ParsedUrl
from downloadd.storage.names import MAX_NAME_BYTES
from downloadd.transfer.classification import UseResponse, classify
from downloadd.transfer.file_naming import name_file, warn_of_page
from downloadd.transfer.representation import Representation
from downloadd.transfer.response_facts import Answer, find_facts
from downloadd.transfer.response_head import ResponseHead
from downloadd.transfer.resume import Evidence, RangeRequest, list_evidence
from downloadd.verify import check_size_and_type

EVERYTHING: Final = RangeRequest()
"""Request for the representation, as a download begins with."""

# Nothing was received that the range has to belong to: the kind of evidence only keeps a precondition out.
FIRST_BYTE: Final = RangeRequest(start=0, end=1, evidence=Evidence.VALIDATOR)
"""Request for the first byte of the representation."""

_NOTHING: Final = Representation()
_FIRST_BYTE_ANSWERS: Final = frozenset({Answer.RANGE, Answer.RANGE_UNDER_200})
_RANGE_REFUSALS: Final = frozenset({400, 416, 501})
"""Statuses that some origins send because of Range, and not to a request for everything."""


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that a download of a URL would find."""

    redacted_url: str
    """The URL after redirects, without credentials."""
    redirects: int
    filename: str
    """Name of the file, if no other one has it."""
    size: int | None
    """Bytes; None if the origin does not say."""
    content_type: str | None
    has_ranges: bool
    """True if the origin has sent a range, or knows that an empty file has none."""
    entity_tag: str | None
    last_modified: int | None
    """Unix time."""
    checksum: str | None
    """The first digest that the origin states, `<algorithm>=<hex>`."""
    is_resumable: bool
    """True if a download that breaks off could continue, see `list_evidence`."""
    warning: str | None
    """Remark on what to check before a download."""


def must_ask_for_everything(head: ResponseHead) -> bool:
    """Return True if the response to `FIRST_BYTE` does not say how the origin answers a request for everything.

    It refuses the range, has another one, or does not have the complete length.
    """
    answer = _find_answer(head)
    if answer in _FIRST_BYTE_ANSWERS:
        return head.content_range is None or head.content_range.complete_length is None
    return answer is Answer.OTHER_RANGE or head.status in _RANGE_REFUSALS


def supports_ranges(head: ResponseHead) -> bool:
    """Return True if the response to `FIRST_BYTE` is that byte, or says that the representation is empty."""
    return _find_answer(head) in _FIRST_BYTE_ANSWERS | {Answer.END_REACHED}


def complete_head(head: ResponseHead) -> ResponseHead:
    """Return the head that a request for everything would have got, as far as that to `FIRST_BYTE` says."""
    content_range = head.content_range
    if content_range is None or _find_answer(head) not in _FIRST_BYTE_ANSWERS:
        return head
    # The digests of the content are those of one byte.
    return replace(head, status=200, length=content_range.complete_length, content_range=None, content_digests=())


def describe(
    request: Request,
    head: ResponseHead,
    *,
    first_url: ParsedUrl,
    final_url: ParsedUrl,
    redirects: int,
    has_ranges: bool,
    max_size: int,
    allows_overlap: bool,
) -> ProbeResult:
    """Return what a download would find.

    Args:
        request: the request of the download.
        head: the response to a request for everything.
        first_url: the URL before redirects.
        final_url: the URL after redirects.
        redirects: their number.
        has_ranges: True if the origin supports ranges.
        max_size: bytes of the largest file; 0 for no limit.
        allows_overlap: False for `downloads.resume = "strict"`.

    Raises:
        RemoteFileNotFoundError, RemoteError, NetworkError, FileTooLargeError: see `classify`.
        UnexpectedContentError: the media type is not the expected one.
    """
    accepted = classify(EVERYTHING, _NOTHING, head, max_size=max_size)
    assert isinstance(accepted, UseResponse)  # noqa: S101 - a request without Range has no other result
    found = accepted.found
    check_size_and_type(
        size=found.total,
        content_type=accepted.content_type,
        expected_size=request.expected_size,
        expected_type=request.expected_type,
    )
    digests = found.origin_digests
    known = replace(found, has_digest=bool(digests), has_ranges=has_ranges)
    return ProbeResult(
        redacted_url=redact_url(final_url.text),
        redirects=redirects,
        filename=name_file(request, accepted, first_url=first_url, final_url=final_url, max_bytes=MAX_NAME_BYTES),
        size=found.total,
        content_type=accepted.content_type,
        has_ranges=has_ranges,
        entity_tag=head.entity_tag,
        last_modified=head.last_modified,
        checksum=digests[0].checksum if digests else None,
        is_resumable=bool(list_evidence(known, allows_overlap=allows_overlap)),
        warning=warn_of_page(request, accepted, first_url=first_url, final_url=final_url),
    )


def _find_answer(head: ResponseHead) -> Answer:
    return find_facts(FIRST_BYTE, _NOTHING, head).answer
