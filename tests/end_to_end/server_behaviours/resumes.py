"""Behaviours of servers whose transfers break and continue."""

import asyncio
from base64 import b64encode
from hashlib import sha256
from typing import Final

from end_to_end.server_behaviours.behaviour import CUT_FILE, FILE, OLD, PAGE, Behaviour, scripted
from end_to_end.server_behaviours.stage import CONTENT, CUT, SIZE, Stage, requested_range
from msgspec.structs import replace
from support.origin.origin import Request
from support.origin.scripted_response import Cut, Framing, ScriptedResponse, error_response, redirect
from support.raw_server import serve_raw

BREAK: Final = SIZE // 3
"""Bytes after which each transfer over a bad line breaks."""
BARE: Final = ScriptedResponse(size=SIZE)
"""The file without a validator."""
DIGEST: Final = f"sha-256=:{b64encode(sha256(CONTENT).digest()).decode()}:"
EXPIRED: Final = ScriptedResponse(
    status=403, body=b"<Error><Code>AccessDenied</Code></Error>", content_type="application/xml"
)
SLOW_DOWN: Final = ScriptedResponse(
    status=503, body=b"<Error><Code>SlowDown</Code></Error>", content_type="application/xml"
)


async def cut_nginx(stage: Stage) -> str:
    """Relay to nginx; the first connection ends in the middle of the file."""
    (stage.shared.nginx.www / "behaviour.bin").write_bytes(CONTENT)
    connections = relayed = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, relayed
        connections += 1
        limit = CUT if connections == 1 else None
        request = await reader.readuntil(b"\r\n\r\n")
        from_nginx, to_nginx = await asyncio.open_connection("127.0.0.1", stage.shared.nginx.port)
        try:
            to_nginx.write(request)
            while (limit is None or relayed < limit) and (data := await from_nginx.read(65_536)):
                writer.write(data)
                await writer.drain()
                relayed += len(data)
        finally:
            to_nginx.close()

    async with serve_raw(relay, host=stage.addresses[0]) as port:
        outcome = await stage.fetch(f"http://{stage.addresses[0]}:{port}/behaviour.bin")
    return "continued" if outcome == "completed" and connections == 2 and relayed < SIZE + CUT else outcome


async def expired_signature(stage: Stage) -> str:
    """Let a signed URL expire in the middle, and give a new one with the retry."""
    return await _continue_from_new_url(stage, EXPIRED, by_amendment=False)


async def withdrawn_link(stage: Stage) -> str:
    """Withdraw a link in the middle, and give a new one before the retry."""
    return await _continue_from_new_url(stage, error_response(410), by_amendment=True)


async def _continue_from_new_url(stage: Stage, refusal: ScriptedResponse, *, by_amendment: bool) -> str:
    def respond(request: Request, stage: Stage) -> ScriptedResponse:
        if b"sig=new" in request.target:
            return FILE
        return refusal if requested_range(request, SIZE) else CUT_FILE

    async with stage.origin(respond) as origin:
        first = await stage.fetch(origin.url("/file.bin?sig=old"))
        return f"{first}; {await stage.retry(origin.url('/file.bin?sig=new'), by_amendment=by_amendment)}"


def drop_range_with_tag(request: Request, stage: Stage) -> ScriptedResponse:
    is_tag = (request.field("If-Range") or "").startswith('"')
    return replace(CUT_FILE, honour_ranges=not is_tag)


def modified_just_now(request: Request, stage: Stage) -> ScriptedResponse:
    return replace(BARE, last_modified=stage.began_at - 10, cut_after=BREAK)


def clock_ahead(request: Request, stage: Stage) -> ScriptedResponse:
    return replace(BARE, last_modified=OLD, date=stage.began_at + 7200, cut_after=BREAK)


def clock_behind(request: Request, stage: Stage) -> ScriptedResponse:
    return replace(BARE, last_modified=stage.began_at - 3600, date=stage.began_at - 7200, cut_after=BREAK)


def range_under_200(request: Request, stage: Stage) -> ScriptedResponse:
    return _rest_under_200(request, has_content_range=True)


def rest_under_200(request: Request, stage: Stage) -> ScriptedResponse:
    return _rest_under_200(request, has_content_range=False)


def _rest_under_200(request: Request, *, has_content_range: bool) -> ScriptedResponse:
    wanted = requested_range(request, SIZE)
    if wanted is None:
        return FILE
    first, end = wanted
    fields = [("Content-Range", f"bytes {first}-{end - 1}/{SIZE}")] if has_content_range else []
    return ScriptedResponse(body=CONTENT[first:end], etag='"v1"', headers=fields, honour_ranges=False)


def capped_range(request: Request, stage: Stage) -> ScriptedResponse:
    """Return at most 200,000 bytes of the requested range."""
    wanted = requested_range(request, SIZE)
    if wanted is None:
        return CUT_FILE
    first, end = wanted[0], min(wanted[1], wanted[0] + 200_000)
    return _part(first, end, f"bytes {first}-{end - 1}/{SIZE}")


def unknown_complete_length(request: Request, stage: Stage) -> ScriptedResponse:
    wanted = requested_range(request, SIZE)
    if wanted is None:
        return CUT_FILE
    first, end = wanted
    return _part(first, end, f"bytes {first}-{end - 1}/*")


def without_validator_in_206(request: Request, stage: Stage) -> ScriptedResponse:
    return replace(BARE, honour_if_range=False) if requested_range(request, SIZE) else CUT_FILE


def weakened_tag_in_206(request: Request, stage: Stage) -> ScriptedResponse:
    return replace(FILE, etag='W/"v1"', honour_if_range=False) if requested_range(request, SIZE) else CUT_FILE


def _part(first: int, end: int, content_range: str) -> ScriptedResponse:
    return ScriptedResponse(
        status=206, body=CONTENT[first:end], etag='"v1"', content_range=content_range, honour_ranges=False
    )


def new_signature(request: Request, stage: Stage) -> ScriptedResponse:
    return redirect(f"/signed.bin?signature={stage.answer_count('/file.bin')}")


RESUMES: Final = (
    Behaviour(name="nginx-cut", outcome="continued by validator", play=cut_nginx),
    scripted("strong-tag-breaks", "continued by validator", replace(FILE, cut_after=BREAK)),
    scripted("weak-tag-breaks", "continued by overlap", replace(FILE, etag='W/"v1"', cut_after=BREAK)),
    scripted("no-validator-breaks", "continued by overlap", replace(BARE, cut_after=BREAK)),
    scripted(
        "no-ranges-breaks",
        "`NETWORK_ERROR`, part kept",
        replace(BARE, honour_ranges=False, cut_after=BREAK),
        parameters={"timeout": "8"},
    ),
    scripted(
        "no-ranges-breaks-once",
        "started over",
        [replace(CUT_FILE, honour_ranges=False), replace(FILE, honour_ranges=False)],
    ),
    scripted("old-date-breaks", "continued by validator", replace(BARE, last_modified=OLD, cut_after=BREAK)),
    scripted("young-date-breaks", "continued by overlap", modified_just_now),
    scripted("no-date-field", "continued by validator", replace(BARE, last_modified=OLD, date=None, cut_after=BREAK)),
    scripted("clock-ahead", "continued by validator", clock_ahead),
    scripted("clock-behind", "continued by overlap", clock_behind),
    Behaviour(
        name="signature-expires",
        outcome="`REMOTE_ERROR`, part kept; continued by validator",
        play=expired_signature,
    ),
    Behaviour(
        name="link-withdrawn",
        outcome="`REMOTE_FILE_NOT_FOUND`, part kept; continued by validator",
        play=withdrawn_link,
    ),
    scripted("deleted-midway", "`REMOTE_FILE_NOT_FOUND`, part kept", [CUT_FILE, error_response(404)]),
    scripted("slow-down-midway", "continued by validator", [CUT_FILE, SLOW_DOWN, FILE]),
    scripted("if-range-tag-unsupported", "continued by validator", drop_range_with_tag),
    scripted("range-under-200", "continued by validator", [CUT_FILE, range_under_200]),
    scripted("rest-under-200", "started over", [CUT_FILE, rest_under_200]),
    scripted("portal-on-resume", "continued by validator", [CUT_FILE, PAGE, FILE]),
    scripted(
        "portal-redirect-on-resume",
        "continued by validator",
        {"/file.bin": [CUT_FILE, redirect("/login?to=file"), FILE], "/login": PAGE},
    ),
    scripted("page-from-now-on", "`REMOTE_ERROR`, part kept", [CUT_FILE, PAGE], parameters={"timeout": "8"}),
    scripted(
        "416-at-the-end",
        "completed",
        replace(FILE, framing=Framing.CHUNKED, cut_after=SIZE, cut=Cut.FIN),
    ),
    scripted("range-capped", "continued by validator", capped_range),
    scripted("complete-length-unknown", "continued by validator", unknown_complete_length),
    scripted("206-without-validator", "continued by overlap", without_validator_in_206),
    scripted("tag-weakened", "continued by overlap", weakened_tag_in_206),
    scripted(
        "digest-without-validator",
        "continued by digest",
        replace(BARE, cut_after=BREAK, headers=[("Repr-Digest", DIGEST)]),
    ),
    scripted(
        "signed-redirects",
        "continued by validator",
        {"/file.bin": new_signature, "/signed.bin": [CUT_FILE, FILE]},
    ),
    scripted("last-byte-missing", "continued by validator", [replace(FILE, cut_after=SIZE - 1, cut=Cut.FIN), FILE]),
    scripted("stall-midway", "continued by validator", [replace(FILE, stall_after=CUT), FILE]),
)
"""Behaviours of transfers that break."""
