"""From a download request to a download: all checks that are made before anything is recorded.

Pure: no I/O and no clock.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from downloadd.attempt_options import NO_OPTIONS, select_attempt_options
from downloadd.config import DownloadsConfig
from downloadd.download import (
    Control,
    Desired,
    Download,
    Mirror,
    PendingRule,
    Progress,
    Request,
    Result,
    error_fields,
)
from downloadd.download_request import ConditionalRequest, DownloadRequest, RequestFieldParameters
from downloadd.errors import DownloadError, InvalidParameterError
from downloadd.gid import is_gid
from downloadd.instants import parse_instant
from downloadd.manager.amendment import CheckedChange, NewUrl
from downloadd.manager.protocol import DownloadChange
from downloadd.media_types import parse_expected_type
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.policy.redaction import filename_from_url, redact_misplaced_url, redact_url
from downloadd.policy.url import parse_url
from downloadd.request_fields import Method, RequestFields, parse_request_fields
from downloadd.states import State
from downloadd.storage.names import SafeName, parse_directory, parse_filename, sanitize_name, suggest_name
from downloadd.verify import parse_checksum

MAX_REFUSED_TEXT_CHARACTERS = 4096
"""Characters of a refused URL, directory or name that are kept in the history."""

_CHECKED_FIELDS: Final = frozenset(
    {"url", "mirrors", "directory", "conflict", "skip_same", "timeout", "segments", "gid"}
)
_COPIED_FIELDS: Final = tuple(
    name
    for name in Request.__struct_fields__
    if name in DownloadRequest.__struct_fields__ and name not in _CHECKED_FIELDS
)
"""Fields that a download takes from its request unchanged: their types are the whole check."""


_COPIED_RULE_FIELDS: Final = ("priority", "speed_limit", "max_retries")
"""Values of a rule that its request has as the download has them."""


def admit(
    request: DownloadRequest,
    *,
    policy: Policy,
    directories: DirectoryRules,
    defaults: DownloadsConfig,
    user: str,
    now: float,
    id: str,
    request_id: str | None = None,
    proxies: Collection[str] = (),
) -> Download:
    """Return the download of a request: `queued` or `paused` when it may be fetched, else `failed` with the error.

    `proxies` are the names of the configured proxies.
    """
    try:
        if request.problem is not None:
            raise request.problem
        url = policy.check_url(request.url)
        mirrors = _check_mirrors([each for each in request.mirrors if each != request.url], policy)
        directory = parse_directory(request.directory)
        directories.check_distinct(directory)
        requested_name = None if request.filename is None else parse_filename(request.filename)
        checksum = None if request.checksum is None else parse_checksum(request.checksum)
        expected_type = None if request.type is None else parse_expected_type(request.type)
        fields = check_request_fields(request, proxies)
        gid = None if request.gid is None else _check_gid(request.gid)
        not_before = None if request.not_before is None else _check_instant(request.not_before)
        pending_rules = [_make_pending(each, request, directories, defaults) for each in request.alternatives]
    except DownloadError as error:
        return refuse(_refused_download(request, user=user, now=now, id=id, request_id=request_id), error, now=now)
    return Download(
        id=id,
        user=user,
        request_id=request_id,
        start_time=int(now),
        state=State.PAUSED if request.paused else State.QUEUED,
        filename=requested_name or suggest_name(None, None, filename_from_url(url)),
        request=Request(
            url=request.url,
            redacted_url=redact_url(request.url),
            directory=directory,
            timeout=defaults.timeout if request.timeout is None else request.timeout,
            mirrors=mirrors,
            requested_name=requested_name,
            **_present_file_options(request, directories),
            requested_checksum=checksum,
            expected_size=request.size,
            expected_type=expected_type,
            segments=request.segments or defaults.segments,
            fields=fields,
            gid=gid,
            attempt_options=select_attempt_options(request),
            pending_rules=tuple(pending_rules),
            **{name: getattr(request, name) for name in _COPIED_FIELDS},
        ),
        control=Control(
            desired=Desired.PAUSE if request.paused else Desired.RUN,
            priority=request.priority,
            speed_limit=request.speed_limit,
            not_before=not_before,
        ),
        progress=Progress(origin=url.origin),
    )


def admit_probe(request: DownloadRequest, proxies: Collection[str]) -> Request:
    """Return the checked parameters of a probe of a URL, whose policy the client checks.

    `proxies` are the names of the configured proxies.

    Raises:
        InvalidParameterError: a parameter cannot be used; the message holds no secret.
        InvalidPathError: the file name is invalid.
    """
    if request.method is not Method.GET:
        raise InvalidParameterError("method", "a probe sends GET only, because another method can change the origin")
    return Request(
        url=request.url,
        redacted_url=redact_url(request.url),
        directory="",
        timeout=0,
        requested_name=None if request.filename is None else parse_filename(request.filename),
        expected_type=None if request.type is None else parse_expected_type(request.type),
        fields=check_request_fields(request, proxies),
    )


def check_request_fields(parameters: RequestFieldParameters, proxies: Collection[str]) -> RequestFields | None:
    """Return the request fields of a download; None if it has none. `proxies` are the names of the configured proxies.

    Raises:
        InvalidParameterError: one of them cannot be sent; the message holds no value.
    """
    if parameters.proxy is not None and parameters.proxy not in proxies:
        known = f"configured are {', '.join(sorted(proxies))}" if proxies else "none is configured"
        raise InvalidParameterError("proxy", f"no proxy has this name; {known}")
    return parse_request_fields(
        headers=parameters.headers.items(),
        cookies=parameters.cookies.items(),
        referer=parameters.referer,
        user_agent=parameters.user_agent,
        auth=parameters.auth,
        proxy=parameters.proxy,
        method=parameters.method,
        body=parameters.body,
    )


def check_new_url(url: str, policy: Policy) -> NewUrl:
    """Return a URL that is to replace that of a download.

    Raises:
        InvalidUrlError, DomainBlockedError: it may not be fetched.
    """
    return NewUrl(url=url, redacted_url=redact_url(url), origin=policy.check_url(url).origin)


def check_change(
    changes: DownloadChange, *, policy: Policy, directories: DirectoryRules, proxies: Collection[str]
) -> CheckedChange:
    """Return a change with its values checked as those of a download request.

    `proxies` are the names of the configured proxies.

    Raises:
        DownloadError: a value cannot be used; the message holds no secret.
    """
    directory = None if changes.directory is None else parse_directory(changes.directory)
    if directory is not None:
        directories.check_distinct(directory)
    return CheckedChange(
        priority=changes.priority,
        speed_limit=changes.speed_limit,
        url=None if changes.url is None else check_new_url(changes.url, policy),
        mirrors=None if changes.mirrors is None else _check_mirrors(changes.mirrors, policy),
        directory=directory,
        requested_name=None if changes.filename is None else parse_filename(changes.filename),
        conflict=changes.conflict,
        requested_checksum=None if changes.checksum is None else parse_checksum(changes.checksum),
        segments=changes.segments,
        not_before=None if changes.not_before is None else _check_instant(changes.not_before),
        fields=UNSET if changes.fields is None else check_request_fields(changes.fields, proxies),
        options=select_attempt_options(changes) or NO_OPTIONS,
    )


def expected_name(download: Download) -> SafeName:
    """Return the name that the user can expect: the requested one, else the end of the URL."""
    return suggest_name(download.request.requested_name, None, filename_from_url(parse_url(download.request.url)))


def refuse(download: Download, error: DownloadError, *, now: float) -> Download:
    """Return the download as it is refused with `error`; it goes to the history at once, and its gid stays free."""
    result = Result(**error_fields(error), end_time=int(now))
    return msgspec.structs.replace(download.with_request(gid=None), state=State.FAILED, result=result)


def _make_pending(
    given: ConditionalRequest, fallback: DownloadRequest, directories: DirectoryRules, defaults: DownloadsConfig
) -> PendingRule:
    """Return a rule with the values that would differ from those of the request if no such rule applies.

    Raises:
        InvalidPathError: its directory cannot be used.
    """
    directory = parse_directory(given.request.directory)
    directories.check_distinct(directory)
    values = {
        "directory": (directory, parse_directory(fallback.directory)),
        "segments": (given.request.segments or defaults.segments, fallback.segments or defaults.segments),
        **{
            name: (value, _present_file_options(fallback, directories)[name])
            for name, value in _present_file_options(given.request, directories).items()
        },
        **{name: (getattr(given.request, name), getattr(fallback, name)) for name in _COPIED_RULE_FIELDS},
    }
    return PendingRule(
        name=given.rule,
        types=given.types,
        min_size=given.min_size,
        max_size=given.max_size,
        **{name: value for name, (value, otherwise) in values.items() if value != otherwise},
    )


def _present_file_options(request: DownloadRequest, directories: DirectoryRules) -> dict[str, Any]:
    """Return the values that concern a file of the same name: those of the request, else those of its directory."""
    present = directories.settings_of(parse_directory(request.directory))
    return {
        "conflict": request.conflict or present.conflict,
        "skip_same": present.skip_same if request.skip_same is None else request.skip_same,
    }


def _check_gid(gid: str) -> str:
    if not is_gid(gid):
        raise InvalidParameterError("gid", "expected 16 lower-case hexadecimal digits that are not all 0")
    return gid


def _check_instant(value: str | float) -> float:
    try:
        return parse_instant(value)
    except ValueError as error:
        raise InvalidParameterError("not_before", str(error)) from None


def _check_mirrors(urls: Sequence[str], policy: Policy) -> tuple[Mirror, ...]:
    """Return the checked mirrors; a URL that is repeated is left out."""
    mirrors = []
    for number, url in enumerate(dict.fromkeys(urls), 1):
        try:
            policy.check_url(url)
        except DownloadError as error:
            error.detail = f"mirror {number}: {error.detail}"
            raise
        mirrors.append(Mirror(url=url))
    return tuple(mirrors)


def _refused_download(request: DownloadRequest, *, user: str, now: float, id: str, request_id: str | None) -> Download:
    """Return the download of a request with an error. Its empty `origin` marks it as one that may not run."""
    # It is never fetched: its secrets are removed, and long texts are cut.
    redacted_url = redact_url(request.url)[:MAX_REFUSED_TEXT_CHARACTERS]
    path = redacted_url.partition("?")[0].partition("#")[0]
    last_segment = path.rpartition("/")[2] if path.count("/") > 2 else ""
    return Download(
        id=id,
        user=user,
        request_id=request_id,
        start_time=int(now),
        filename=(redact_misplaced_url(request.filename or "") or sanitize_name(last_segment))[
            :MAX_REFUSED_TEXT_CHARACTERS
        ],
        request=Request(
            url=redacted_url,
            redacted_url=redacted_url,
            directory=redact_misplaced_url(request.directory.strip("/"))[:MAX_REFUSED_TEXT_CHARACTERS],
            timeout=0,
            operation=request.operation,
        ),
        progress=Progress(origin=""),
    )
