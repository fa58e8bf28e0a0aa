"""The loop that starts due runs of schedules and records their outcomes."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.download_rules import DownloadRules
from downloadd.errors import (
    DownloadError,
    IdempotencyKeyReusedError,
    InvalidParameterError,
    ShuttingDownError,
    StoreUnavailableError,
)
from downloadd.manager.protocol import MakeStoredResponse, StartResult
from downloadd.manager.tasks import TaskSet
from downloadd.records.protocol import StoredResponse
from downloadd.records.schedules import ScheduleRecords
from downloadd.rights import Action, Rights
from downloadd.schedule import Schedule, Version
from downloadd.schedules import plan
from downloadd.states import FINISHED
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_filename
from downloadd.users import PermissionMissingError, User

log = structlog.get_logger()

MAX_CHECK_SECONDS: Final = 30.0
"""Seconds between two looks at the clock at most, because it may be set, and other nodes change schedules."""
MIN_CHECK_SECONDS: Final = 0.05
"""Seconds between two looks at least: a timer may end just before its time."""
WAIT_SECONDS: Final = 3600.0
"""Seconds of one wait for the end of a download."""


class Downloads(Protocol):
    """The part of the manager that schedules use."""

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: MakeStoredResponse | None = None,
    ) -> StartResult:
        """Record downloads durably, in one transaction; see `AdmissionControl.start`."""
        ...

    async def wait(self, id: str, seconds: float) -> Download:
        """Return the row when the download has ended, or as it is after `seconds`."""
        ...


class DownloadLookup(Protocol):
    """The part of the records of downloads that schedules use."""

    async def get(self, id: str) -> Download | None:
        """Return a download, active or finished."""
        ...


class FileRemoval(Protocol):
    """Removal of finished downloads."""

    async def remove(self, download: Download, *, with_file: bool) -> bool:
        """Remove a finished download; see `HistoryRemoval.remove`."""
        ...


class ScheduleRunner:
    """Starts the runs of schedules that are due. Opens with `async with`, after the manager.

    The id of a run's download is made from its time, and the time is the key of its stored response: so a run that was
    killed before the schedule was written, or that another node starts too, has one download.
    """

    def __init__(
        self,
        *,
        records: ScheduleRecords,
        lookup: DownloadLookup,
        downloads: Downloads,
        removal: FileRemoval,
        destination: Destination,
        rights: Rights,
        rules: Callable[[], DownloadRules],
        find_user: Callable[[str], User | None],
        clock: Clock,
    ) -> None:
        """Take the components; `rules` returns those that complete requests, `find_user` the user with an id."""
        self._records = records
        self._lookup = lookup
        self._downloads = downloads
        self._removal = removal
        self._destination = destination
        self._rights = rights
        self._rules = rules
        self._find_user = find_user
        self._clock = clock
        self._changed = asyncio.Event()
        self._awaited: set[str] = set()
        self._tasks = TaskSet()

    async def __aenter__(self) -> Self:
        """Begin to start runs; those that were missed start once."""
        self._tasks.spawn(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Start no further runs."""
        await self._tasks.cancel()

    def wake(self) -> None:
        """Look at the schedules soon, because one was changed."""
        self._changed.set()

    async def run_now(self, schedule: Schedule) -> Schedule | None:
        """Start a run of a settled schedule at once; return it, None if it was changed meanwhile."""
        return await self._start(schedule, round(self._clock.wall(), 3))

    async def check(self) -> float | None:
        """Record ends, and start the runs that are due; return the Unix time of the next run, None if there is none."""
        schedules = await self._records.list()
        times: list[float] = []
        for schedule in schedules:
            current = await self._check_one(schedule)
            if current is None:
                # Another node has changed it.
                times.append(self._clock.wall() + MAX_CHECK_SECONDS)
                continue
            if not current.is_settled and current.last_download is not None:
                # The next run waits for the end of this one.
                self._await_end(current.last_download)
            elif current.next_run is not None:
                times.append(current.next_run)
        return min(times, default=None)

    async def _check_one(self, schedule: Schedule) -> Schedule | None:
        """Record the end of the last run, plan the next one, and start it if it is due; None after a conflict."""
        settled = schedule if schedule.is_settled else await self._settle(schedule)
        if settled is None:
            return None
        planned = plan.plan(settled, self._clock.wall())
        if planned != settled:
            written = await self._records.replace(planned)
            if written is None:
                return None
            planned = written
        due = plan.due_run(planned, self._clock.wall())
        return planned if due is None else await self._start(planned, due)

    async def _settle(self, schedule: Schedule) -> Schedule | None:
        row = None if schedule.last_download is None else await self._lookup.get(schedule.last_download)
        settlement = plan.settle(schedule, row)
        if settlement is None:
            return schedule
        for version in settlement.superseded:
            await self._remove(schedule, version)
        return await self._records.replace(settlement.schedule)

    async def _start(self, schedule: Schedule, due: float) -> Schedule | None:
        """Start a run; return the schedule after it, None if another node has changed it."""
        problem: str | None = None
        try:
            await self._start_download(schedule, due)
        except (StoreUnavailableError, ShuttingDownError):
            raise
        except PermissionMissingError as error:
            problem = f"the user {schedule.definition.user} may not start it: {error} is missing"
        except DownloadError as error:
            problem = error.detail
        now = self._clock.wall()
        log.info("schedule_run_started", schedule=schedule.name, due=due, problem=problem)
        return await self._records.replace(plan.start_run(schedule, due, now, problem=problem))

    async def _start_download(self, schedule: Schedule, due: float) -> None:
        user = self._find_user(schedule.definition.user)
        if user is None:
            raise InvalidParameterError("user", f"{schedule.definition.user} is no user of the configuration any more")
        if await self._lookup.get(plan.download_id(schedule, due)) is not None:
            # The daemon was killed before the schedule was written.
            return
        request = plan.make_request(schedule, due, has_file=await self._has_file(schedule))
        ruled = self._rules().apply(request, user=user.id, now=due)
        for directory in ruled.directories:
            self._rights.require(user, Action.START, directory=directory)
        # A line break cannot be part of a key that a client sends.
        key = f"schedule\n{schedule.name}\n{schedule.created}\n{due}"
        response = StoredResponse(
            user=user.id, key=key, fingerprint=key.encode(), status=201, body=b"", created=self._clock.wall()
        )
        try:
            await self._downloads.start([ruled.request], user=user.id, make_stored_response=lambda rows: response)
        except IdempotencyKeyReusedError:
            log.warning("schedule_run_known", schedule=schedule.name, due=due)

    async def _has_file(self, schedule: Schedule) -> bool:
        """Return True if the file of the last completed run is in its place."""
        if schedule.condition is None or not schedule.versions:
            return False
        row = await self._lookup.get(schedule.versions[0].download_id)
        if row is None:
            # Its entry was removed from the history.
            return False
        return await self._destination.exists(directory=row.request.directory, filename=parse_filename(row.filename))

    async def _remove(self, schedule: Schedule, version: Version) -> None:
        """Remove a version, unless its file was changed."""
        row = await self._lookup.get(version.download_id)
        if row is None:
            return
        try:
            await self._removal.remove(row, with_file=True)
        except StoreUnavailableError:
            raise
        except DownloadError as error:
            log.warning("schedule_version_kept", schedule=schedule.name, path=row.file_path, detail=error.detail)

    async def _watch(self) -> None:
        """Check the schedules whenever a run is due or one was changed, until cancelled."""
        while True:
            self._changed.clear()
            seconds = MAX_CHECK_SECONDS
            try:
                due = await self.check()
            except DownloadError as error:
                log.warning("schedules_not_checked", error=error.code, detail=error.detail)
            else:
                left = MAX_CHECK_SECONDS if due is None else due - self._clock.wall()
                seconds = min(max(left, MIN_CHECK_SECONDS), MAX_CHECK_SECONDS)
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _await_end(self, id: str) -> None:
        if id not in self._awaited:
            self._awaited.add(id)
            self._tasks.spawn(self._wait_for_end(id))

    async def _wait_for_end(self, id: str) -> None:
        """Check the schedules when the download of a run has ended or was removed."""
        try:
            while (await self._downloads.wait(id, WAIT_SECONDS)).state not in FINISHED:
                pass
        except DownloadError:
            # It was removed, or the records are unavailable for a moment.
            await asyncio.sleep(1)
        finally:
            self._awaited.discard(id)
            self.wake()
