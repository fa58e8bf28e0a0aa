"""The schedules as users see and change them, and as the configuration defines them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import ScheduleConfig, UserConfig
from downloadd.cron import parse_cron
from downloadd.download import Download
from downloadd.errors import DownloadError, InvalidParameterError, InvalidStateError, NotFoundError
from downloadd.hours import parse_time_zone
from downloadd.policy.redaction import filename_from_url, redact_url
from downloadd.policy.url import has_http_scheme, parse_url
from downloadd.records.schedules import ScheduleRecords
from downloadd.rights import Action, Rights
from downloadd.schedule import Schedule, ScheduleDefinition, ScheduleSource
from downloadd.schedules import plan
from downloadd.schedules.runner import DownloadLookup, ScheduleRunner
from downloadd.storage.names import parse_directory, parse_filename, sanitize_name
from downloadd.users import User

log = structlog.get_logger()


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule with the download of its last run."""

    schedule: Schedule
    download: Download | None = None
    """None if there was no run, or its download was removed from the history."""

    @property
    def shown_url(self) -> str:
        """Return the URL without credentials."""
        return redact_url(self.schedule.definition.url)


def check_definition(definition: ScheduleDefinition) -> ScheduleDefinition:
    """Return a definition with its values checked, and with the name of the file.

    Raises:
        InvalidParameterError: a value cannot be used; the message names its key and holds no secret.
        InvalidPathError: directory or name is invalid.
    """
    if not has_http_scheme(definition.url):
        raise InvalidParameterError("url", "must begin with http:// or https://")
    directory = parse_directory(definition.directory)
    name = definition.filename
    if not name:
        in_url = filename_from_url(parse_url(definition.url))
        if not in_url:
            raise InvalidParameterError("filename", "the URL does not end with a name; give one")
        name = sanitize_name(in_url)
    return replace(
        definition,
        cron=_parse("cron", definition.cron, parse_cron),
        time_zone=str(_parse("time_zone", definition.time_zone, parse_time_zone)),
        directory=directory,
        filename=str(parse_filename(name)),
    )


class ScheduleService:
    """What users may do with schedules; those of the configuration are not changed here.

    Attributes:
        runner: starts the runs; the composition root opens it.
    """

    def __init__(
        self,
        *,
        records: ScheduleRecords,
        lookup: DownloadLookup,
        runner: ScheduleRunner,
        rights: Rights,
        clock: Clock,
    ) -> None:
        self._records = records
        self._lookup = lookup
        self.runner = runner
        self._rights = rights
        self._clock = clock

    async def list(self, user: User) -> Sequence[ScheduleView]:
        """Return all schedules by name.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self._rights.require(user, Action.VIEW)
        return [await self._view(schedule) for schedule in await self._records.list()]

    async def get(self, user: User, name: str) -> ScheduleView:
        """Return a schedule.

        Raises:
            PermissionMissingError: the user does not have the permission.
            NotFoundError: no schedule has this name.
        """
        self._rights.require(user, Action.VIEW)
        return await self._view(await self._find(name))

    async def add(self, user: User, name: str, definition: ScheduleDefinition) -> ScheduleView:
        """Add a schedule, durable on return; its runs have the rights of the user.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory.
            DownloadForbiddenError: the daemon may not fetch.
            InvalidParameterError, InvalidPathError: a value cannot be used.
            InvalidStateError: the name is taken.
        """
        checked = check_definition(replace(definition, user=user.id))
        self._rights.require(user, Action.START, directory=checked.directory)
        now = self._clock.wall()
        schedule = plan.plan(Schedule(name=name, source=ScheduleSource.API, created=now, definition=checked), now)
        if not await self._records.add(schedule):
            raise InvalidStateError(f"a schedule has the name {name} already; choose another one, or change that")
        self._log("schedule_added", user, name)
        return await self._view(schedule)

    async def change(self, user: User, name: str, changes: Mapping[str, Any]) -> ScheduleView:
        """Change fields of the definition of a schedule; see `add` and `remove` for the errors."""
        while True:
            schedule = await self._find(name)
            self._require_changeable(user, schedule)
            definition = replace(schedule.definition, **changes)
            if changes.get("url") is not None and "filename" not in changes:
                definition = replace(definition, filename="")
            checked = check_definition(definition)
            self._rights.require(user, Action.START, directory=checked.directory)
            written = await self._records.replace(plan.redefine(schedule, checked, self._clock.wall()))
            if written is not None:
                self._log("schedule_changed", user, name)
                return await self._view(written)

    async def remove(self, user: User, name: str) -> ScheduleView:
        """Remove a schedule; its downloads and files stay.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory.
            NotFoundError: no schedule has this name.
            InvalidStateError: the schedule is from the configuration.
        """
        while True:
            schedule = await self._find(name)
            self._require_changeable(user, schedule)
            if await self._records.remove(schedule):
                self._log("schedule_removed", user, name)
                return await self._view(schedule)

    async def run(self, user: User, name: str) -> ScheduleView:
        """Start a run now, also of a paused schedule and of one from the configuration.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory.
            NotFoundError: no schedule has this name.
            InvalidStateError: the last run has not ended.
        """
        while True:
            schedule = await self._find(name)
            self._rights.require(user, Action.START, directory=schedule.definition.directory)
            if not schedule.is_settled:
                raise InvalidStateError("the last run has not ended; wait for it, or cancel its download")
            started = await self.runner.run_now(schedule)
            if started is not None:
                self._log("schedule_run_requested", user, name)
                return await self._view(started)

    async def configure(self, entries: Sequence[ScheduleConfig], users: Sequence[UserConfig]) -> None:
        """Add, change and remove the schedules of the configuration; the outcomes of their runs stay.

        A failure is logged; the schedules stay as they are then. Entries without a user get the first of `users`.
        """
        first_user = users[0].id if users else ""
        try:
            wanted = {entry.name: _definition_of(entry, first_user) for entry in entries}
            for schedule in await self._records.list():
                if schedule.source is ScheduleSource.CONFIGURATION and schedule.name not in wanted:
                    await self._records.remove(schedule)
                    log.info("schedule_removed", schedule=schedule.name)
            for name, definition in wanted.items():
                while not await self._configure_one(name, definition):
                    pass
        except DownloadError as error:
            log.error("schedules_not_configured", error=error.code, detail=error.detail)
        self.runner.wake()

    async def _configure_one(self, name: str, definition: ScheduleDefinition) -> bool:
        """Write one schedule of the configuration; return False if another node has changed it meanwhile."""
        now = self._clock.wall()
        known = await self._records.get(name)
        if known is None:
            new = Schedule(name=name, source=ScheduleSource.CONFIGURATION, created=now, definition=definition)
            return await self._records.add(plan.plan(new, now))
        configured = replace(plan.redefine(known, definition, now), source=ScheduleSource.CONFIGURATION)
        if configured == known:
            return True
        if known.source is ScheduleSource.API:
            log.warning("schedule_replaced_by_configuration", schedule=name)
        return await self._records.replace(configured) is not None

    async def _find(self, name: str) -> Schedule:
        schedule = await self._records.get(name)
        if schedule is None:
            raise NotFoundError("no schedule has this name")
        return schedule

    async def _view(self, schedule: Schedule) -> ScheduleView:
        id = schedule.last_download
        return ScheduleView(schedule=schedule, download=None if id is None else await self._lookup.get(id))

    def _require_changeable(self, user: User, schedule: Schedule) -> None:
        self._rights.require(user, Action.START, directory=schedule.definition.directory)
        if schedule.source is ScheduleSource.CONFIGURATION:
            raise InvalidStateError(
                f"the schedule {schedule.name} is from the configuration; change [[schedules]] there and reload"
            )

    def _log(self, event: str, user: User, name: str) -> None:
        log.info(event, user=user.id, schedule=name)
        self.runner.wake()


def _definition_of(entry: ScheduleConfig, first_user: str) -> ScheduleDefinition:
    return check_definition(
        ScheduleDefinition(
            cron=entry.cron,
            time_zone=entry.time_zone,
            url=entry.url,
            directory=entry.directory,
            filename=entry.filename,
            keep=entry.keep,
            user=entry.user or first_user,
            paused=entry.paused,
        )
    )


def _parse(key: str, text: str, parse: Any) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidParameterError(key, str(error)) from None
