"""Behaviours of servers whose file changes while it is received, or whose range is not the requested one."""

from typing import Final

from end_to_end.server_behaviours.behaviour import CUT_FILE, FILE, NEW_CONTENT, OLD, Behaviour, scripted
from end_to_end.server_behaviours.stage import CONTENT, SIZE, Answer, Stage, requested_range
from msgspec.structs import replace
from support.origin.content import expected_bytes
from support.origin.origin import Request
from support.origin.scripted_response import Framing, ScriptedResponse, error_response

NEW: Final = expected_bytes(1, 0, SIZE)
"""The file after its replacement."""
LESS: Final = SIZE // 4
"""Bytes of a file that has shrunk below what was received."""
MORE: Final = SIZE + 100_000
"""Bytes of a file that has grown."""


def refuse_old_version(request: Request, stage: Stage) -> ScriptedResponse:
    """Answer 412 to a range of the old version, as servers do that treat `If-Range` like `If-Match`."""
    return error_response(412) if requested_range(request, SIZE) else NEW_CONTENT


def multipart(request: Request, stage: Stage) -> ScriptedResponse:
    wanted = requested_range(request, SIZE)
    if wanted is None:
        return FILE
    first, end = wanted
    head = f"--x\r\nContent-Type: text/plain\r\nContent-Range: bytes {first}-{end - 1}/{SIZE}\r\n\r\n"
    body = head.encode() + CONTENT[first:end] + b"\r\n--x--\r\n"
    return ScriptedResponse(
        status=206,
        body=body,
        etag='"v1"',
        content_type="multipart/byteranges; boundary=x",
        content_range="",
        honour_ranges=False,
    )


def from_first_byte(request: Request, stage: Stage) -> ScriptedResponse:
    """Answer a range by the first bytes under status 206."""
    wanted = requested_range(request, SIZE)
    if wanted is None:
        return FILE
    body = CONTENT[: wanted[1] - wanted[0]]
    content_range = f"bytes 0-{len(body) - 1}/{SIZE}"
    return ScriptedResponse(status=206, body=body, etag='"v1"', content_range=content_range, honour_ranges=False)


def other_complete_length(request: Request, stage: Stage) -> ScriptedResponse:
    """State another complete length under the same entity tag, as a cache does that has a part of another version."""
    wanted = requested_range(request, SIZE)
    if wanted is None:
        return FILE
    first, end = wanted
    return ScriptedResponse(
        status=206,
        body=expected_bytes(1, first, end),
        etag='"v1"',
        content_range=f"bytes {first}-{end - 1}/{MORE}",
        honour_ranges=False,
    )


def _changed(name: str, outcome: str, before: Answer, after: Answer, content: bytes = NEW) -> Behaviour:
    return scripted(name, outcome, [before, after], content=content)


def _without_validator(seed: int, size: int = SIZE) -> ScriptedResponse:
    return ScriptedResponse(size=size, seed=seed)


_LOG: Final = ScriptedResponse(size=SIZE, etag='W/"100000-1"', last_modified=OLD)
_CODED: Final = ScriptedResponse(
    size=SIZE,
    etag='"v1-gzip"',
    headers=[("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")],
    framing=Framing.CHUNKED,
    honour_ranges=False,
)
_CUT_WITHOUT_VALIDATOR: Final = replace(CUT_FILE, etag=None)

CHANGES: Final = (
    _changed("replaced", "started over", CUT_FILE, NEW_CONTENT),
    _changed("replaced-without-ranges", "started over", CUT_FILE, replace(NEW_CONTENT, honour_ranges=False)),
    _changed(
        "replaced-date",
        "started over",
        replace(_CUT_WITHOUT_VALIDATOR, last_modified=OLD),
        replace(_without_validator(1), last_modified=OLD + 86_400),
    ),
    _changed(
        "replaced-other-length",
        "started over",
        _CUT_WITHOUT_VALIDATOR,
        _without_validator(1, MORE),
        expected_bytes(1, 0, MORE),
    ),
    _changed("replaced-same-length", "started over", _CUT_WITHOUT_VALIDATOR, _without_validator(1)),
    _changed(
        "replaced-weak-tag", "started over", replace(CUT_FILE, etag='W/"v1"'), replace(NEW_CONTENT, etag='W/"v2"')
    ),
    _changed("if-range-ignored", "started over", CUT_FILE, replace(NEW_CONTENT, honour_if_range=False)),
    _changed(
        "log-grows",
        "started over",
        replace(_LOG, cut_after=SIZE // 2),
        replace(_LOG, size=MORE, etag='W/"118000-2"', last_modified=OLD + 60),
        expected_bytes(0, 0, MORE),
    ),
    _changed(
        "416-file-shrunk",
        "started over",
        CUT_FILE,
        ScriptedResponse(size=LESS, seed=1, etag='"v2"', honour_if_range=False),
        expected_bytes(1, 0, LESS),
    ),
    _changed("412-other-version", "started over", CUT_FILE, refuse_old_version),
    _changed("206-other-complete-length", "started over", CUT_FILE, other_complete_length, CONTENT),
    _changed("206-multipart", "started over", CUT_FILE, multipart, CONTENT),
    _changed("206-from-first-byte", "started over", CUT_FILE, from_first_byte, CONTENT),
    _changed(
        "ranges-announced-but-ignored",
        "started over",
        CUT_FILE,
        replace(FILE, honour_ranges=False, headers=[("Accept-Ranges", "bytes")]),
        CONTENT,
    ),
    _changed("tags-of-two-backends", "started over", CUT_FILE, replace(FILE, etag='"1f3a-v1"'), CONTENT),
    _changed("tag-with-gzip-suffix", "started over", replace(_CODED, cut_after=SIZE // 2), _CODED, CONTENT),
    _changed(
        "chunked-cut",
        "started over",
        replace(_CUT_WITHOUT_VALIDATOR, framing=Framing.CHUNKED),
        replace(FILE, etag=None, framing=Framing.CHUNKED),
        CONTENT,
    ),
    _changed(
        "close-delimited-reset",
        "started over",
        replace(_CUT_WITHOUT_VALIDATOR, framing=Framing.CLOSE),
        replace(FILE, etag=None, framing=Framing.CLOSE),
        CONTENT,
    ),
)
"""Behaviours after which the file is requested from its first byte again."""
