"""Behaviours of servers in their first response: statuses, pages, redirects, framing and fields."""

import time
from email.utils import formatdate
from typing import Final

from end_to_end.server_behaviours.behaviour import FILE, PAGE, Behaviour, scripted
from end_to_end.server_behaviours.stage import CONTENT, Answer, Stage
from msgspec.structs import replace
from support.origin.origin import Request
from support.origin.scripted_response import Framing, ScriptedResponse, error_response, redirect


def busy_until_date(request: Request, stage: Stage) -> ScriptedResponse:
    return _busy(clock=int(time.time()))


def busy_by_fast_clock(request: Request, stage: Stage) -> ScriptedResponse:
    """Ask for a pause by a clock that is two hours ahead."""
    return _busy(clock=int(time.time()) + 7200)


def _busy(*, clock: int) -> ScriptedResponse:
    """Ask for a pause of three seconds, by a date."""
    return replace(error_response(503, retry_after=formatdate(clock + 3, usegmt=True)), date=clock)


def require_cookie(request: Request, stage: Stage) -> ScriptedResponse:
    if request.field("Cookie") == "seen=1":
        return FILE
    return ScriptedResponse(status=302, headers=[("Location", "/file.bin"), ("Set-Cookie", "seen=1")])


def _once(status: int) -> Behaviour:
    """Return the behaviour of an origin that answers so once and then with the file."""
    return scripted(f"{status}-once", "completed", [error_response(status), FILE])


def _once_with_pause(name: str, refusal: Answer) -> Behaviour:
    """Return the behaviour of an origin that asks once for a pause of a second or more."""

    async def play(stage: Stage) -> str:
        async with stage.origin([refusal, FILE]) as origin:
            outcome = await stage.fetch(origin.url("/file.bin"))
            times = [request.received_at for request in origin.requests("/file.bin")]
            return outcome if len(times) < 2 or times[1] - times[0] >= 1 else "requested too early"

    return Behaviour(name=name, outcome="completed", play=play)


def _always(status: int, error: str = "REMOTE_ERROR") -> Behaviour:
    return scripted(f"{status}", f"`{error}` without a retry", error_response(status))


async def long_pause(stage: Stage) -> str:
    async with stage.origin(error_response(429, retry_after="3600")) as origin:
        return await stage.wait(origin.url("/file.bin"), timeout="0")


STATUSES: Final = (
    *(_once(status) for status in (408, 421, 425, 429, 500, 502, 503, 504, 509, 520, 522, 524, 530)),
    _once_with_pause("202-retry-after", error_response(202, retry_after="1")),
    _once_with_pause("403-retry-after", error_response(403, retry_after="1")),
    _once_with_pause("429-retry-after", error_response(429, retry_after="1")),
    _once_with_pause("503-retry-after-date", busy_until_date),
    _once_with_pause("503-retry-after-fast-clock", busy_by_fast_clock),
    Behaviour(name="429-retry-after-an-hour", outcome="waits", play=long_pause),
    *(_always(status) for status in (202, 204, 401, 403, 451, 501, 505)),
    _always(404, "REMOTE_FILE_NOT_FOUND"),
    _always(410, "REMOTE_FILE_NOT_FOUND"),
    scripted("503", "`REMOTE_ERROR`", error_response(503), parameters={"timeout": "8"}),
)
"""Behaviours by the status of the first response."""

REDIRECTS: Final = (
    *(
        scripted(
            f"redirect-{status}",
            "completed",
            {"/file.bin": redirect("/moved/file.bin", status), "/moved/file.bin": FILE},
        )
        for status in (301, 302, 303, 307, 308)
    ),
    scripted("redirect-loop", "`TOO_MANY_REDIRECTS`", {"/file.bin": redirect("/b"), "/b": redirect("/file.bin")}),
    scripted("redirect-for-cookie", "completed", require_cookie),
    scripted(
        "redirect-to-login",
        "completed with a warning",
        {"/file.zip": redirect("/login?to=file"), "/login": PAGE},
        path="/file.zip",
        content=PAGE.body or b"",
    ),
)
"""Behaviours by redirects."""

_GZIP_FIELDS: Final = [("Content-Encoding", "gzip")]
_OLD_HEAD: Final = b"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\nContent-Type: application/octet-stream\r\n\r\n"

MESSAGES: Final = (
    scripted("portal", "completed with a warning", PAGE, path="/file.zip", content=PAGE.body or b""),
    scripted("chunked", "completed", replace(FILE, framing=Framing.CHUNKED)),
    scripted("close-delimited", "completed", replace(FILE, framing=Framing.CLOSE)),
    scripted("gzip-not-requested", "completed", replace(FILE, headers=_GZIP_FIELDS)),
    scripted("http-1.0", "completed", replace(FILE, raw_head=_OLD_HEAD, keep_alive=False)),
    scripted(
        "interim-responses",
        "completed",
        replace(FILE, interim=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"),
    ),
    scripted("empty-file", "completed", ScriptedResponse(body=b""), content=b""),
    scripted(
        "digest-mismatch",
        "`CHECKSUM_MISMATCH` without a retry",
        replace(FILE, headers=[("Repr-Digest", f"sha-256=:{'A' * 43}=:")]),
    ),
    scripted("slow-drip", "completed", ScriptedResponse(body=CONTENT[:4000], rate=1000), content=CONTENT[:4000]),
)
"""Behaviours by framing, fields and speed."""
