"""Scripted origin as a program, for manual use and benchmarks: `python -m support.origin --port 9000` in `tests/`.

It serves `/bytes/<size>` at full speed and `/trickle/<size>?rate=<bytes a second>` slowly, to any number of clients,
with ranges and an entity tag. `seed=<n>` in the query is another version.
"""

import argparse
import asyncio
import re
from contextlib import suppress
from urllib.parse import parse_qs

from .origin import Origin, Request
from .scripted_response import FIXED_LAST_MODIFIED, ScriptedResponse, error_response

_TARGET = re.compile(rb"/(?P<kind>bytes|trickle)/(?P<size>[0-9]{1,15})(?:/[^?]*)?(?:\?(?P<query>.*))?")


def build_response(request: Request) -> ScriptedResponse:
    """Return the response that a target describes; a name may follow the size (`/bytes/1000/some.iso`)."""
    match = _TARGET.fullmatch(request.target)
    if match is None:
        return error_response(404)
    query = parse_qs((match["query"] or b"").decode("ascii", "replace"))
    try:
        size, seed = int(match["size"]), int(query.get("seed", ["0"])[0])
        rate = int(query.get("rate", ["1000"])[0]) if match["kind"] == b"trickle" else 0
    except ValueError:
        return error_response(400)
    return ScriptedResponse(
        size=size, seed=seed, rate=max(0, rate), etag=f'"{seed}-{size}"', last_modified=FIXED_LAST_MODIFIED
    )


async def serve(host: str, port: int) -> None:
    """Print the URL and serve until cancelled."""
    async with Origin(host=host, port=port, fallback=build_response) as origin:
        print(origin.url("/"), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m support.origin", description="An origin of synthetic files.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, which is printed")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
