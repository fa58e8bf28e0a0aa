"""Behaviour of a server or network: a script for its origins, and the outcome that the docs promise."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from end_to_end.server_behaviours.stage import CONTENT, CUT, SIZE, Script, Stage
from support.origin.scripted_response import ScriptedResponse

OLD: Final = 1_600_000_000
"""Unix time of a Last-Modified long ago."""
FILE: Final = ScriptedResponse(size=SIZE, etag='"v1"')
"""The file, with a strong entity tag and ranges."""
CUT_FILE: Final = ScriptedResponse(size=SIZE, etag='"v1"', cut_after=CUT)
"""The file, cut in the middle."""
NEW_CONTENT: Final = ScriptedResponse(size=SIZE, seed=1, etag='"v2"')
"""Another version of the file."""
PAGE: Final = ScriptedResponse(body=b"<title>Sign in</title>" * 40, content_type="text/html; charset=utf-8")
"""Login page of a captive portal."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """Behaviour of a server or network."""

    name: str
    outcome: str
    """The outcome as in the table of docs/explanation/servers.md."""
    play: Callable[[Stage], Awaitable[str]]
    """Run the behaviour; return the outcome without the evidence of a continuation."""
    content: bytes = CONTENT
    """The expected file."""
    needs_names: bool = False
    """True if the daemon needs a hosts file of its own."""


def scripted(
    name: str,
    outcome: str,
    script: Script,
    *,
    path: str = "/file.bin",
    content: bytes = CONTENT,
    parameters: Mapping[str, str] | None = None,
) -> Behaviour:
    """Return the behaviour of one origin that is asked for one file."""

    async def play(stage: Stage) -> str:
        async with stage.origin(script) as origin:
            return await stage.fetch(origin.url(path), **(parameters or {}))

    return Behaviour(name=name, outcome=outcome, play=play, content=content)
