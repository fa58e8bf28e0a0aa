"""Runs of schedules, with real records."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.clocks import NOW, ManualClock
from support.sample_downloads import sample_download

from downloadd.config import RuleConfig
from downloadd.download import Condition, Download
from downloadd.download_request import DownloadRequest
from downloadd.download_rules import DownloadRules
from downloadd.errors import FileChangedError, StoreUnavailableError
from downloadd.manager.protocol import MakeStoredResponse, StartResult
from downloadd.policy.directories import DirectoryRules
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.store import Store
from downloadd.rights import Rights
from downloadd.schedule import Schedule, ScheduleDefinition, ScheduleSource
from downloadd.schedules import plan
from downloadd.schedules.runner import ScheduleRunner
from downloadd.states import FINISHED, State
from downloadd.users import User

DEFINITION = ScheduleDefinition(
    cron="0 * * * *", time_zone="UTC", url="https://a/f.csv", directory="d", filename="f.csv", keep=1, user="ann"
)
SCHEDULE = Schedule(name="s", source=ScheduleSource.API, created=NOW, definition=DEFINITION)
# The clock of the tests begins at 22:13:20.
FIRST = NOW + 3600 - 800


class Downloads:
    """Downloads that are accepted by the real records, and never run.

    Attributes:
        requests: those that were started.
        files: names of files that are in their place.
        removed: ids of downloads that were removed with their file.
    """

    def __init__(self, records: Store) -> None:
        self.requests: list[DownloadRequest] = []
        self.files: set[str] = set()
        self.removed: list[str] = []
        self.changed_files: set[str] = set()
        self._records = records

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: MakeStoredResponse | None = None,
    ) -> StartResult:
        assert make_stored_response is not None
        rows = [sample_download(id=request.id, user=user, filename=request.filename) for request in requests]
        accepted = await self._records.accept(rows, make_stored_response(rows))
        if accepted.replayed is None:
            self.requests.extend(requests)
        return StartResult(downloads=rows, replayed=accepted.replayed)

    async def wait(self, id: str, seconds: float) -> Download:
        while True:
            row = await self._records.get(id)
            if row is None or row.state in FINISHED:
                return sample_download(state=State.COMPLETED)
            await asyncio.sleep(0.01)

    async def exists(self, *, directory: str, filename: str) -> bool:
        return filename in self.files

    async def remove(self, download: Download, *, with_file: bool) -> bool:
        if download.id in self.changed_files:
            raise FileChangedError("the file was changed")
        self.removed.append(download.id)
        return with_file


class Stack:
    """A node with its runner."""

    def __init__(self, records: Store, clock: ManualClock) -> None:
        self.records, self.clock = records, clock
        self.downloads = Downloads(records)
        self.users = {"ann": User(id="ann", permissions=frozenset({"download"}))}
        self.rules: list[RuleConfig] = []
        self.schedules: Any = records.schedules
        self.runner = self.make_runner()

    def make_runner(self) -> ScheduleRunner:
        downloads: Any = self.downloads
        return ScheduleRunner(
            records=self.schedules,
            lookup=self.records,
            downloads=downloads,
            removal=downloads,
            destination=downloads,
            rights=Rights(directories=DirectoryRules(), is_enabled=True),
            rules=lambda: DownloadRules(self.rules),
            find_user=self.users.get,
            clock=self.clock,
        )

    async def add(self, **definition: Any) -> None:
        await self.records.schedules.add(replace(SCHEDULE, definition=replace(DEFINITION, **definition)))

    async def schedule(self) -> Schedule:
        schedule = await self.records.schedules.get("s")
        assert schedule is not None
        return schedule

    async def end_run(self, state: State = State.COMPLETED, **fields: Any) -> Download:
        """End the download of the last run."""
        id = (await self.schedule()).last_download
        assert id is not None
        row = await self.records.get(id)
        assert row is not None
        [run] = await self.records.claim([row.seq])
        ended = replace(run.with_progress(**fields), state=state)
        await self.records.save(ended)
        return ended


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    clock = ManualClock()
    async with SqliteRecords(tmp_path, clock) as records:
        yield Stack(records, clock)


async def test_a_run_starts_at_its_time_with_the_definition(stack: Stack) -> None:
    await stack.add()
    assert await stack.runner.check() == FIRST
    assert stack.downloads.requests == []
    stack.clock.now = FIRST
    await stack.runner.check()
    [request] = stack.downloads.requests
    assert (request.url, request.directory, request.filename) == ("https://a/f.csv", "d", "f.csv")
    assert request.condition is None
    schedule = await stack.schedule()
    assert (schedule.last_run, schedule.last_download, schedule.next_run) == (FIRST, request.id, FIRST + 3600)


async def test_missed_runs_are_caught_up_once(stack: Stack) -> None:
    await stack.add()
    await stack.runner.check()
    stack.clock.now = FIRST + 10 * 3600 + 5
    for _ in range(3):
        await stack.make_runner().check()
    assert len(stack.downloads.requests) == 1
    assert (await stack.schedule()).last_run == FIRST + 10 * 3600


async def test_a_run_whose_record_was_lost_by_a_kill_is_not_started_again(stack: Stack) -> None:
    class KilledRecords:
        """Records of a process that is killed between the start of the download and the record of the schedule."""

        list = staticmethod(stack.records.schedules.list)

        async def replace(self, schedule: Schedule) -> Schedule | None:
            if schedule.last_run is not None:
                raise StoreUnavailableError("killed")
            return await stack.records.schedules.replace(schedule)

    await stack.add()
    await stack.runner.check()
    stack.clock.now = FIRST
    stack.schedules = KilledRecords()
    with pytest.raises(StoreUnavailableError):
        await stack.make_runner().check()
    assert len(stack.downloads.requests) == 1
    assert (await stack.schedule()).last_run is None
    # Much later, after another run would have been due too.
    stack.schedules = stack.records.schedules
    stack.clock.now = FIRST + 60
    await stack.make_runner().check()
    assert len(stack.downloads.requests) == 1
    assert (await stack.schedule()).last_download == stack.downloads.requests[0].id


async def test_two_nodes_start_a_run_once(stack: Stack) -> None:
    await stack.add()
    await stack.runner.check()
    stack.clock.now = FIRST
    await asyncio.gather(*(stack.make_runner().check() for _ in range(4)))
    assert len(stack.downloads.requests) == 1
    assert (await stack.schedule()).last_run == FIRST


async def test_a_completed_run_makes_the_next_one_conditional_while_its_file_is_there(stack: Stack) -> None:
    await stack.add()
    await stack.runner.check()
    for number, has_file in enumerate((False, True, False)):
        stack.clock.now = FIRST + number * 3600
        stack.downloads.files = {"f.csv"} if has_file else set()
        await stack.runner.check()
        await stack.end_run(validator='"v"', last_modified=7)
    expected = Condition(entity_tag='"v"', last_modified=7)
    assert [request.condition for request in stack.downloads.requests] == [None, expected, None]


async def test_the_next_run_waits_for_the_end_of_the_last_one(stack: Stack) -> None:
    await stack.add()
    await stack.runner.check()
    for hours in (0, 1, 2):
        stack.clock.now = FIRST + hours * 3600
        await stack.runner.check()
    assert len(stack.downloads.requests) == 1
    await stack.end_run(State.FAILED)
    await stack.runner.check()
    assert len(stack.downloads.requests) == 2
    assert (await stack.schedule()).last_run == FIRST + 2 * 3600


async def test_versions_beyond_those_that_are_kept_are_removed(stack: Stack) -> None:
    await stack.add(keep=2)
    await stack.runner.check()
    for hours in range(4):
        stack.clock.now = FIRST + hours * 3600
        await stack.runner.check()
        await stack.end_run()
        await stack.runner.check()
    names = [request.filename for request in stack.downloads.requests]
    assert names[:2] == ["f.2023-11-14T230000Z.csv", "f.2023-11-15T000000Z.csv"]
    assert stack.downloads.removed == [request.id for request in stack.downloads.requests[:2]]
    assert len((await stack.schedule()).versions) == 2


async def test_a_version_that_was_changed_stays(stack: Stack) -> None:
    await stack.add(keep=2)
    await stack.runner.check()
    for hours in range(3):
        stack.clock.now = FIRST + hours * 3600
        await stack.runner.check()
        stack.downloads.changed_files.add((await stack.end_run()).id)
        await stack.runner.check()
    assert stack.downloads.removed == []
    assert len((await stack.schedule()).versions) == 2


@pytest.mark.parametrize("user", [None, User(id="ann", permissions=frozenset())])
async def test_a_run_without_the_rights_of_its_user_is_a_problem_of_the_schedule(
    stack: Stack, user: User | None
) -> None:
    stack.users.clear()
    if user is not None:
        stack.users["ann"] = user
    await stack.add()
    await stack.runner.check()
    stack.clock.now = FIRST
    await stack.runner.check()
    schedule = await stack.schedule()
    assert schedule.problem is not None
    assert (schedule.last_run, schedule.next_run) == (None, FIRST + 3600)
    assert stack.downloads.requests == []


async def test_the_loop_starts_missed_runs_and_follows_their_ends(stack: Stack) -> None:
    await stack.records.schedules.add(plan.plan(SCHEDULE, NOW - 7200))
    async with stack.runner:
        async with asyncio.timeout(10):
            while not stack.downloads.requests:
                await asyncio.sleep(0.01)
            while (await stack.schedule()).last_download is None:
                await asyncio.sleep(0.01)
            await stack.end_run(validator='"v"')
            while not (await stack.schedule()).is_settled:
                await asyncio.sleep(0.01)
    assert (await stack.schedule()).condition == Condition(entity_tag='"v"')


async def test_the_rules_of_downloads_hold_for_runs_too(stack: Stack) -> None:
    stack.rules.append(RuleConfig(name="csv", extensions=("csv",), priority=7, save_to="{directory}/{year}"))
    await stack.add()
    await stack.runner.check()
    stack.clock.now = FIRST
    await stack.runner.check()
    [request] = stack.downloads.requests
    assert (request.priority, request.directory, request.filename) == (7, "d/2023", "f.csv")


async def test_nodes_of_one_database_start_a_run_once(database: str) -> None:
    clock = ManualClock()
    async with (
        PostgresRecords(database, clock, is_owner=False) as first,
        PostgresRecords(database, clock, is_owner=False) as second,
    ):
        nodes = [Stack(first, clock), Stack(second, clock)]
        await nodes[0].add()
        await nodes[0].runner.check()
        clock.now = FIRST
        await asyncio.gather(*(node.make_runner().check() for node in nodes for _ in range(3)))
        requests = [request for node in nodes for request in node.downloads.requests]
        assert len(requests) == 1
        assert (await nodes[1].schedule()).last_download == requests[0].id
