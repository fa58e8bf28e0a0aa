"""How the command ends: exit codes, and the lines about what went wrong."""

from enum import IntEnum

import msgspec

from downloadd.cli import words
from downloadd.client import ApiError, ClientError, ConnectionLostError


class Exit(IntEnum):
    """What scripts can tell apart."""

    DONE = 0
    FAILED = 1
    """The daemon refused, or a download that was watched has failed."""
    USAGE = 2
    """The command makes no sense; nothing was asked."""
    UNREACHABLE = 3
    """No daemon answered."""
    DENIED = 4
    """The token is missing, wrong, or not enough."""
    INTERRUPTED = 130


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, for programs (`--json`)."""

    success: bool = False
    error: str
    detail: str | None = None


class Ending(Exception):
    """Ends the command with these lines on standard error."""

    def __init__(self, exit: Exit, *lines: str, problem: Problem | None = None) -> None:
        super().__init__(*lines)
        self.exit = exit
        self.lines = lines
        self.problem = problem


def ending_of(error: ClientError, *, url: str) -> Ending:
    """What a call that failed ends the command with."""
    if isinstance(error, ApiError):
        denied = error.status in {401, 403} and error.code in {"unauthorized", "error-unauthorized"}
        problem = Problem(error=error.code, detail=error.detail)
        return Ending(Exit.DENIED if denied else Exit.FAILED, *words.refusal(error), problem=problem)
    problem = Problem(error="UNREACHABLE", detail=str(error))
    hint = f"Is the daemon running? Start it with: downloadd --allow-download; or name another with --url (not {url})."
    lines = (f"{error}.", hint) if isinstance(error, ConnectionLostError) else (f"{error}.",)
    return Ending(Exit.UNREACHABLE, *(words.printable(line) for line in lines), problem=problem)
