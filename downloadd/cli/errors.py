"""Exit codes of the command, and its error messages."""

from enum import IntEnum

import msgspec

from downloadd.cli import formatting
from downloadd.cli.daemon_location import DaemonLocation
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


def to_command_error(error: ClientError, location: DaemonLocation) -> CommandError:
    """Return the end of the command for a call of the daemon at `location` that failed."""
    url = location.url
    if isinstance(error, ApiError):
        if error.status == 401:
            report = ErrorReport(error=error.code, detail=error.detail)
            return CommandError(ExitStatus.DENIED, *_describe_refused_token(location), report=report)
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


def _describe_refused_token(location: DaemonLocation) -> tuple[str, ...]:
    """Return what happened to the token, and what to do about it."""
    if location.stored_token is not None:
        return (
            (
                f"The token in {location.stored_token} is refused: the first user was removed, or the daemon at "
                f"{location.url} has another state directory."
            ),
            (
                "Pass the token of a user with --token-file or DOWNLOADD_TOKEN, or create one as the user of the "
                "daemon with: downloadctl users create NAME."
            ),
        )
    if location.token is None:
        places = ", ".join(str(each) for each in location.searched) or "the state directory"
        return (
            f"There is no token for {location.url}; searched in {places}.",
            (
                "Pass one with --token-file or DOWNLOADD_TOKEN, or name the state directory with --state-dir. The "
                "first start of the daemon printed the file of its token, which only its user can read."
            ),
        )
    return (
        f"The token is refused by {location.url}: its user was removed or has a new token.",
        (
            "Pass another one with --token-file or DOWNLOADD_TOKEN; on the machine of the daemon, "
            "downloadctl users list shows the users, and downloadctl users rotate NAME makes a new token."
        ),
    )
