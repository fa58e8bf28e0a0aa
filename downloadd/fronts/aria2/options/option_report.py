"""Options as getOption and getGlobalOption report them: what was given, else the default.

addUri takes the answer of getOption back, and changeGlobalOption that of getGlobalOption. Pure: no I/O and no clock.
"""

from collections.abc import Iterator
from typing import Final

from downloadd.config import DownloadsConfig
from downloadd.download import Conflict, Download
from downloadd.fronts.aria2.options.download_options import MAX_RETRIES
from downloadd.fronts.aria2.options.header_lines import DEFAULT_USER_AGENT, format_fields
from downloadd.fronts.aria2.options.locations import join_root
from downloadd.fronts.aria2.options.option_table import MAX_CONNECTIONS, MAX_DELAY_SECONDS
from downloadd.fronts.aria2.options.option_values import FALSE, TRUE, format_boolean
from downloadd.fronts.aria2.options.options import HEADER
from downloadd.transfer.segments import MIN_SEGMENT_BYTES

FIXED: Final = (
    # Received bytes are always continued, and a file always gets the time that its origin states.
    ("continue", TRUE),
    ("remote-time", TRUE),
    ("min-split-size", str(MIN_SEGMENT_BYTES)),
)
"""Options whose values cannot be changed."""


def report_defaults(config: DownloadsConfig, root: str) -> dict[str, str]:
    """Return the options of a download to which none are given."""
    return {
        "dir": join_root(root),
        "max-download-limit": "0",
        "allow-overwrite": FALSE,
        "auto-file-renaming": TRUE,
        "user-agent": DEFAULT_USER_AGENT,
        "lowest-speed-limit": "0",
        "retry-wait": "0",
        **dict(_report_connections(config.segments)),
        **dict(_report_tries(config.max_retries)),
        # Without a limit of its own, a connection has the time that an origin may be silent.
        **dict(_report_seconds("timeout", config.stall_timeout)),
        **dict(_report_seconds("connect-timeout", config.stall_timeout)),
        **dict(FIXED),
    }


def report_options(download: Download, config: DownloadsConfig, root: str, *, shows_secrets: bool) -> dict[str, str]:
    """Return the options of a download; without the request fields, which are secrets, unless `shows_secrets`."""
    request, limits = download.request, download.request.limits
    options = report_defaults(config, root)
    options["dir"] = join_root(root, request.directory)
    options["max-download-limit"] = str(download.control.speed_limit)
    options["allow-overwrite"] = format_boolean(request.conflict is Conflict.OVERWRITE)
    options["auto-file-renaming"] = format_boolean(request.conflict is not Conflict.ERROR)
    options["conditional-get"] = format_boolean(request.skip_same)
    options.update(_report_connections(request.segments))
    if request.requested_name is not None:
        options["out"] = request.requested_name
    if request.requested_checksum is not None:
        options["checksum"] = request.requested_checksum
    if limits.max_retries is not None:
        options.update(_report_tries(limits.max_retries))
    for name, seconds in (("timeout", limits.stall_timeout), ("connect-timeout", limits.connect_timeout)):
        if seconds is not None:
            options.pop(name, None)
            options.update(_report_seconds(name, seconds))
    if limits.retry_wait is not None:
        options["retry-wait"] = str(min(limits.retry_wait, MAX_DELAY_SECONDS))
    if limits.min_speed is not None:
        options["lowest-speed-limit"] = str(limits.min_speed)
    if shows_secrets:
        options.update(format_fields(request.fields))
    return options


def end_header_lines(options: dict[str, str]) -> dict[str, str]:
    """Return options as they are sent: each header field ends with a line break, as in aria2."""
    return {name: f"{text}\n" if name == HEADER and text else text for name, text in options.items()}


def _report_connections(segments: int) -> Iterator[tuple[str, str]]:
    yield "split", str(segments)
    yield "max-connection-per-server", str(min(segments, MAX_CONNECTIONS))


def _report_tries(max_retries: int) -> Iterator[tuple[str, str]]:
    yield "max-tries", "0" if max_retries >= MAX_RETRIES else str(max_retries + 1)


def _report_seconds(name: str, seconds: float) -> Iterator[tuple[str, str]]:
    """Yield the option, unless aria2 has no value for that time."""
    if 0 < seconds <= MAX_DELAY_SECONDS:
        yield name, str(max(1, round(seconds)))
