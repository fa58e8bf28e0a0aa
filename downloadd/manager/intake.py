"""From an order to a download: every judgement that can be made before anything is written down.

Pure: no I/O and no clock.
"""

from collections.abc import Sequence

import msgspec

from downloadd.config import DownloadsConfig
from downloadd.download import Conflict, Control, Download, Mirror, Progress, Request, Result
from downloadd.errors import DownloadError
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.masking import naming_segment, show_misplaced, show_url
from downloadd.policy.policy import Policy
from downloadd.policy.url import parse_url
from downloadd.states import State
from downloadd.storage.names import parse_directory, parse_filename, safe_name, suggest_name
from downloadd.verify import parse_checksum

LONGEST_SHOWN = 4096
"""Characters of a refused URL, directory or name that are kept in the history."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One download as a client asks for it; its texts are unchecked."""

    url: str
    mirrors: Sequence[str] = ()
    """Further URLs of the same file."""
    directory: str
    filename: str | None = None
    timeout: int | None = None
    """Seconds; None for the configured default."""
    segments: int | None = None
    checksum: str | None = None
    conflict: Conflict | None = None
    """None for the default of the directory."""
    priority: int = 0
    speed_limit: int = 0
    """Bytes a second; 0 for none."""
    size: int | None = None
    """Bytes that the file is known to have."""
    content_type: str | None = None
    """Media type that the file is known to be of."""
    operation: str | None = None
    """Id of the import operation that it belongs to."""
    id: str | None = None
    """The id of the download; None for a fresh one."""
    problem: DownloadError | None = None
    """What was wrong with the request itself; the order is refused with it."""


def accept_order(
    order: Order,
    *,
    policy: Policy,
    directories: DirectoryRules,
    defaults: DownloadsConfig,
    user: str,
    now: float,
    id: str,
    request_id: str | None = None,
) -> Download:
    """The download that an order makes: `queued` when it may be fetched, else `failed` with the reason."""
    try:
        if order.problem is not None:
            raise order.problem
        url = policy.judge(order.url)
        mirrors = _judge_mirrors(order, policy)
        directory = parse_directory(order.directory)
        directories.require_distinct(directory)
        wanted = None if order.filename is None else parse_filename(order.filename)
        checksum = None if order.checksum is None else parse_checksum(order.checksum)
    except DownloadError as error:
        return refuse(_refusable(order, user=user, now=now, id=id, request_id=request_id), error, now=now)
    return Download(
        id=id,
        user=user,
        request_id=request_id,
        start_time=int(now),
        filename=wanted or suggest_name(None, None, naming_segment(url)),
        request=Request(
            url=order.url,
            redacted_url=show_url(order.url),
            directory=directory,
            timeout=defaults.timeout if order.timeout is None else order.timeout,
            mirrors=mirrors,
            requested_name=wanted,
            conflict=order.conflict or directories.terms_of(directory).conflict,
            requested_checksum=checksum,
            expected_size=order.size,
            expected_type=order.content_type,
            operation=order.operation,
            segments=defaults.segments if order.segments is None else order.segments,
        ),
        control=Control(priority=order.priority, speed_limit=order.speed_limit),
        progress=Progress(host=url.host),
    )


def foreseen_name(download: Download) -> str:
    """The name that the user can expect: the one asked for, else what the URL ends with."""
    return download.request.requested_name or suggest_name(None, None, naming_segment(parse_url(download.request.url)))


def refuse(download: Download, error: DownloadError, *, now: float) -> Download:
    """The same download, refused: it goes straight to history."""
    return msgspec.structs.replace(
        download, state=State.FAILED, result=Result(error=error.code, detail=error.detail, end_time=int(now))
    )


def _judge_mirrors(order: Order, policy: Policy) -> tuple[Mirror, ...]:
    """Where else the file can be had; a URL that is given twice counts once."""
    mirrors = []
    for number, url in enumerate(dict.fromkeys((order.url, *order.mirrors))):
        if number:
            try:
                mirrors.append(Mirror(url=url, host=policy.judge(url).host))
            except DownloadError as error:
                error.detail = f"mirror {number}: {error.detail}"
                raise
    return tuple(mirrors)


def _refusable(order: Order, *, user: str, now: float, id: str, request_id: str | None) -> Download:
    """What can be said of an order that is wrong somewhere. Its empty `host` marks it as never judged fit to run."""
    # Nobody will ask for it: neither its secrets nor all of its length are worth to be kept.
    redacted_url = show_url(order.url)[:LONGEST_SHOWN]
    path = redacted_url.partition("?")[0].partition("#")[0]
    last_segment = path.rpartition("/")[2] if path.count("/") > 2 else ""
    return Download(
        id=id,
        user=user,
        request_id=request_id,
        start_time=int(now),
        filename=(show_misplaced(order.filename or "") or safe_name(last_segment))[:LONGEST_SHOWN],
        request=Request(
            url=redacted_url,
            redacted_url=redacted_url,
            directory=show_misplaced(order.directory.strip("/"))[:LONGEST_SHOWN],
            timeout=0,
            operation=order.operation,
        ),
        progress=Progress(host=""),
    )
