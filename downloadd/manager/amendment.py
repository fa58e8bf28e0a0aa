"""Changes that users make to the request of a download, also while it runs.

Pure: every function takes a row and returns the next one. No state changes here; see `lifecycle`.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from downloadd.attempt_options import NO_OPTIONS, AttemptOptions, change_attempt_options
from downloadd.download import Conflict, Download, Mirror, PendingRule, Request
from downloadd.errors import InvalidStateError
from downloadd.manager.run_restart import RestartNeededError
from downloadd.policy.url import parse_url
from downloadd.request_fields import RequestFields
from downloadd.states import FINISHED, RUNNING, Trigger, allows
from downloadd.transfer.sources import select_source

_PUBLICATION_FIELDS: Final = ("directory", "requested_name", "conflict", "requested_checksum")
"""Fields of a request that decide if and where a complete part file is published."""


class NewUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A checked URL that replaces that of a download."""

    url: str
    """As given, with its secrets: never show it."""
    redacted_url: str
    origin: str


class CheckedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change with checked values; a value that is not given stays."""

    priority: int | None = None
    speed_limit: int | None = None
    url: NewUrl | None = None
    directory: str | None = None
    requested_name: str | None = None
    conflict: Conflict | None = None
    requested_checksum: str | None = None
    segments: int | None = None
    not_before: float | None = None
    """Unix time."""
    mirrors: tuple[Mirror, ...] | None = None
    fields: RequestFields | UnsetType | None = UNSET
    """Request fields in place of all former ones; None removes them."""
    options: AttemptOptions = NO_OPTIONS

    @property
    def publication(self) -> dict[str, Any]:
        """Return the given fields that decide if and where the file is published."""
        return {name: value for name in _PUBLICATION_FIELDS if (value := getattr(self, name)) is not None}

    @property
    def without_requests(self) -> "CheckedChange":
        """Return the change of all but the requests."""
        return replace(self, url=None, mirrors=None, fields=UNSET)

    @property
    def changes_requests(self) -> bool:
        """True if the requests of a run that is under way would not be those of the download any more."""
        return self.url is not None or self.mirrors is not None or self.fields is not UNSET


class RequestChangedError(Exception):
    """A user has changed if or where the file is published, before its name was recorded.

    Attributes:
        request: the request as it is now.
    """

    def __init__(self, request: Request) -> None:
        super().__init__("the request was changed before the publication")
        self.request = request


def amend(download: Download, change: CheckedChange) -> Download:
    """Change a download.

    A new URL, for example of a link that has expired, may be given to a finished download that can be retried too. The
    next run continues the part file only if length, validator and last bytes are the same at the new URL. A new URL of
    another origin does not get the request fields.

    The part files stay in their directory when another one is given.

    Raises:
        InvalidStateError: it has ended already and cannot be retried or gets no URL; its file is being published and
            gets another place; or it is running and gets a time.
        RestartNeededError: it is running and gets a URL, mirrors or request fields.
    """
    if download.state in FINISHED:
        if change.url is None:
            raise InvalidStateError(f"the download is {download.state} already; only an active one can be changed")
        require_retryable(download)
    if download.state in RUNNING and change.changes_requests:
        raise RestartNeededError
    if change.publication and download.progress.publishing:
        raise InvalidStateError("the file of the download is being published; its name and place cannot be changed")
    if download.state in RUNNING and change.not_before is not None:
        raise InvalidStateError("the download is running; pause it before it gets another not_before")
    row = _change_sources(download, change)
    row = row.with_control(
        priority=row.control.priority if change.priority is None else change.priority,
        speed_limit=row.control.speed_limit if change.speed_limit is None else change.speed_limit,
        not_before=row.control.not_before if change.not_before is None else change.not_before,
    )
    request = replace(
        row.request,
        **change.publication,
        pending_rules=tuple(_without_values(rule, change) for rule in row.request.pending_rules),
        segments=row.request.segments if change.segments is None else change.segments,
    )
    if change.options != NO_OPTIONS:
        request = replace(request, attempt_options=change_attempt_options(request.attempt_options, change.options))
    if change.directory is not None:
        request = replace(request, part_directory=_part_directory(row, change.directory))
    return adopt_request(row, request)


def change_url(download: Download, url: NewUrl) -> Download:
    """Return the download with another URL."""
    fields = download.request.fields
    # They are for the origin that the user gave them for.
    if fields is not None and parse_url(download.request.url).origin != url.origin:
        fields = fields.for_other_origin()
    changed = download.with_request(url=url.url, redacted_url=url.redacted_url, fields=fields)
    return changed.with_progress(origin=url.origin, source=0, url_changed=True).with_result(secrets_removed=False)


def require_retryable(download: Download) -> None:
    """Check that a download can be retried.

    Raises:
        InvalidStateError: it cannot.
    """
    if not download.progress.origin:
        raise InvalidStateError(
            "the download was refused when it was requested; correct the request and start a new download"
        )
    if not allows(download.state, Trigger.RETRY):
        raise InvalidStateError(
            f"the download is {download.state}; only a failed, cancelled, skipped or retrying one can be retried"
        )


def adopt_request(download: Download, request: Request) -> Download:
    """Return a download with another request; a name that it states is the expected one from now on."""
    name = download.filename
    if request.requested_name is not None and request.requested_name != download.request.requested_name:
        name = request.requested_name
    return replace(download, request=request, filename=name)


def use_requested_name(download: Download) -> Download:
    """Return a download that is to be run, under the name that its request states.

    The name may have been changed just before an earlier run was killed, which knew another one. A file that is being
    published has its name.
    """
    name = download.request.requested_name
    return download if name is None or download.progress.publishing else replace(download, filename=name)


def is_publication_changed(before: Request, after: Request) -> bool:
    """Return True if a file that would be published by one request may not be published by the other."""
    return any(getattr(before, name) != getattr(after, name) for name in _PUBLICATION_FIELDS)


def _change_sources(download: Download, change: CheckedChange) -> Download:
    if change.url is not None:
        download = change_url(download, change.url)
    if change.fields is not UNSET:
        download = download.with_request(fields=change.fields)
    if change.mirrors is not None:
        url = download.request.url
        download = select_source(download, 0).with_request(
            mirrors=tuple(mirror for mirror in change.mirrors if mirror.url != url)
        )
    return download


def _without_values(rule: PendingRule, change: CheckedChange) -> PendingRule:
    """Return a rule without the values that a user states."""
    stated = {
        "directory": change.directory,
        "conflict": change.conflict,
        "priority": change.priority,
        "speed_limit": change.speed_limit,
        "segments": change.segments,
        "max_retries": change.options.max_retries,
    }
    return replace(rule, **{name: UNSET for name, value in stated.items() if value is not None})


def _part_directory(download: Download, directory: str) -> str | None:
    """Return the directory of the part files if it is another one than the new directory of the download."""
    progress = download.progress
    may_have_part = download.state in RUNNING or progress.part_name is not None or progress.superseded is not None
    return download.part_directory if may_have_part and download.part_directory != directory else None
