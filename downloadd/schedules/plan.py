"""Decisions about schedules: when a run is due, its download, and what follows from its end.

Pure: no I/O and no clock.
"""

from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from downloadd.cron import latest_time, next_time
from downloadd.download import Condition, Conflict, Download
from downloadd.download_request import DownloadRequest
from downloadd.schedule import Schedule, ScheduleDefinition, Version
from downloadd.states import FINISHED, State


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule after the end of its last run, and the versions that are kept no longer."""

    schedule: Schedule
    superseded: tuple[Version, ...] = ()
    """Versions with a file of their own, the newest first."""


def plan(schedule: Schedule, now: float) -> Schedule:
    """Return a schedule with the time of its next run after `now`; that of a run that is due is kept."""
    definition = schedule.definition
    if definition.paused:
        return replace(schedule, next_run=None)
    following = next_time(definition.cron, definition.time_zone, now)
    known = schedule.next_run
    # A time further ahead was planned before the clock was set back, or for another expression.
    is_valid = known is not None and (following is None or known <= following)
    return schedule if is_valid else replace(schedule, next_run=following)


def due_run(schedule: Schedule, now: float) -> float | None:
    """Return the time of the run that is due at `now`; None if none is.

    Of several runs that were missed, the last one is due.
    """
    if schedule.next_run is None or schedule.next_run > now or not schedule.is_settled:
        return None
    definition = schedule.definition
    latest = latest_time(definition.cron, definition.time_zone, now)
    return schedule.next_run if latest is None else max(latest, schedule.next_run)


def start_run(schedule: Schedule, due: float, now: float, *, problem: str | None = None) -> Schedule:
    """Return a schedule whose run of the time `due` was started, or could not be because of `problem`."""
    definition = schedule.definition
    started = (
        schedule
        if definition.paused
        else replace(schedule, next_run=next_time(definition.cron, definition.time_zone, max(due, now)))
    )
    if problem is not None:
        return replace(started, problem=problem)
    return replace(started, last_run=due, last_download=download_id(schedule, due), is_settled=False, problem=None)


def download_id(schedule: Schedule, due: float) -> str:
    """Return the id of the download of a run; each run has one, however often it is started."""
    digest = sha256(f"{schedule.name}\n{schedule.created}\n{due}".encode()).digest()
    milliseconds = int(due * 1000).to_bytes(6)
    # A UUID of version 7 (RFC 9562, section 5.7), as those of other downloads, with a digest in place of random bits.
    raw = bytearray(milliseconds + digest[:10])
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def make_request(schedule: Schedule, due: float, *, has_file: bool) -> DownloadRequest:
    """Return the request for a run; `has_file` is False if the file of the last completed run is missing."""
    definition = schedule.definition
    return DownloadRequest(
        id=download_id(schedule, due),
        url=definition.url,
        directory=definition.directory,
        filename=version_name(definition, due),
        # The name of a version is its own, so that only a file of the same run can have it.
        conflict=Conflict.OVERWRITE,
        skip_same=False,
        timeout=0,
        condition=schedule.condition if has_file else None,
    )


def version_name(definition: ScheduleDefinition, due: float) -> str:
    """Return the name of the file of a run: with the time of the run if several versions are kept."""
    if definition.keep == 1:
        return definition.filename
    stem, dot, extension = definition.filename.rpartition(".")
    if not stem:
        stem, dot, extension = definition.filename, "", ""
    return f"{stem}.{datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H%M%SZ}{dot}{extension}"


def settle(schedule: Schedule, download: Download | None) -> Settlement | None:
    """Return a schedule after the end of its last run; None if its download has not ended.

    `download` is None if it was removed from the records.
    """
    if download is not None and download.state not in FINISHED:
        return None
    settled = replace(schedule, is_settled=True)
    if download is None or download.state is not State.COMPLETED or schedule.last_run is None:
        return Settlement(schedule=settled)
    versions = (Version(due=schedule.last_run, download_id=download.id), *schedule.versions)
    keep = schedule.definition.keep
    return Settlement(
        schedule=replace(settled, condition=_condition_of(download), versions=versions[:keep]),
        # With one version, the new file has replaced the old one.
        superseded=versions[keep:] if keep > 1 else (),
    )


def redefine(schedule: Schedule, definition: ScheduleDefinition, now: float) -> Schedule:
    """Return a schedule with another definition; another URL or place has no validators and no versions yet."""
    before = schedule.definition
    if (before.url, before.directory, before.filename) != (definition.url, definition.directory, definition.filename):
        schedule = replace(schedule, condition=None, versions=())
    is_retimed = (before.cron, before.time_zone, before.paused) != (
        definition.cron,
        definition.time_zone,
        definition.paused,
    )
    changed = replace(schedule, definition=definition, problem=None)
    return plan(replace(changed, next_run=None) if is_retimed else changed, now)


def _condition_of(download: Download) -> Condition | None:
    progress = download.progress
    validator = progress.validator
    # A strong validator may be a date.
    tag = validator if validator is not None and validator.startswith('"') else progress.weak_tag
    if tag is None and progress.last_modified is None:
        return None
    return Condition(entity_tag=tag, last_modified=progress.last_modified)
