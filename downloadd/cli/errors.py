"""Exit codes of the command, and its error messages."""

from enum import IntEnum

import msgspec

from downloadd.cli import formatting
from downloadd.client import ApiError, ClientError, ConnectionLostError


class ExitStatus(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    """The daemon refused the request, or a watched download failed."""
    USAGE = 2
    """The arguments are invalid; no request was sent."""
    UNREACHABLE = 3
    """The daemon did not answer."""
    DENIED = 4
    """The token is missing, wrong, or lacks a permission."""
    INCOMPLETE = 5
    """Parts of an import file were left out; all others were accepted or, with `--watch`, completed."""
    INTERRUPTED = 130


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """Error, for programs (`--json`)."""

    success: bool = False
    error: str
    detail: str | None = None


class CommandError(Exception):
    """End of the command with these lines on standard error."""

    def __init__(self, status: ExitStatus, *lines: str, report: ErrorReport | None = None) -> None:
        super().__init__(*lines)
        self.status = status
        self.lines = lines
        self.report = report


def to_command_error(error: ClientError, *, url: str) -> CommandError:
    """Return the end of the command for a call that failed."""
    if isinstance(error, ApiError):
        denied = error.status in {401, 403} and error.code in {"unauthorized", "error-unauthorized"}
        report = ErrorReport(error=error.code, detail=error.detail)
        return CommandError(
            ExitStatus.DENIED if denied else ExitStatus.FAILED, *formatting.format_api_error(error), report=report
        )
    report = ErrorReport(error="UNREACHABLE", detail=str(error))
    hint = (
        f"Is the daemon running? Start it with: downloadd --allow-download; or name another one than {url} with --url."
    )
    lines = (f"{error}.", hint) if isinstance(error, ConnectionLostError) else (f"{error}.",)
    return CommandError(
        ExitStatus.UNREACHABLE, *(formatting.replace_unprintable(line) for line in lines), report=report
    )
