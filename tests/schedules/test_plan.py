"""Decisions about schedules."""

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.sample_downloads import sample_download

from downloadd.download import Condition
from downloadd.schedule import Schedule, ScheduleDefinition, ScheduleSource, Version
from downloadd.schedules.plan import (
    download_id,
    due_run,
    make_request,
    plan,
    redefine,
    settle,
    start_run,
    version_name,
)
from downloadd.states import State

HOUR = 3600.0
DEFINITION = ScheduleDefinition(
    cron="0 * * * *", time_zone="UTC", url="https://a/f.csv", directory="d", filename="f.csv", keep=1, user="ann"
)
SCHEDULE = Schedule(name="s", source=ScheduleSource.API, created=1.0, definition=DEFINITION)
CONDITION = Condition(entity_tag='"v"')


def test_the_next_run_is_planned_and_a_due_one_stays() -> None:
    planned = plan(SCHEDULE, 1800)
    assert planned.next_run == HOUR
    assert plan(planned, 5 * HOUR) == planned
    assert due_run(planned, HOUR - 1) is None
    assert due_run(planned, HOUR) == HOUR


def test_a_paused_schedule_has_no_next_run() -> None:
    paused = plan(replace(SCHEDULE, next_run=HOUR, definition=replace(DEFINITION, paused=True)), 0)
    assert paused.next_run is None
    assert due_run(paused, 9 * HOUR) is None


def test_of_the_missed_runs_the_last_one_is_due_once() -> None:
    planned = plan(SCHEDULE, 1800)
    due = due_run(planned, 5.5 * HOUR)
    assert due == 5 * HOUR
    started = start_run(planned, due, 5.5 * HOUR)
    assert (started.last_run, started.next_run, started.is_settled) == (5 * HOUR, 6 * HOUR, False)
    assert due_run(started, 5.9 * HOUR) is None


def test_a_run_waits_for_the_end_of_the_last_one() -> None:
    running = replace(plan(SCHEDULE, 1800), is_settled=False)
    assert due_run(running, 5 * HOUR) is None
    assert due_run(replace(running, is_settled=True), 5 * HOUR) == 5 * HOUR


def test_a_clock_that_was_set_back_does_not_delay_the_next_run() -> None:
    far = replace(SCHEDULE, next_run=1000 * HOUR)
    assert plan(far, 1800).next_run == HOUR


def test_a_run_that_could_not_start_is_not_the_last_one() -> None:
    failed = start_run(plan(SCHEDULE, 1800), HOUR, HOUR, problem="no right")
    assert (failed.problem, failed.last_run, failed.is_settled, failed.next_run) == ("no right", None, True, 2 * HOUR)
    assert start_run(failed, 2 * HOUR, 2 * HOUR).problem is None


def test_the_id_of_a_download_is_that_of_its_run() -> None:
    id = download_id(SCHEDULE, HOUR)
    assert UUID(id).version == 7
    assert str(UUID(id)) == id == download_id(SCHEDULE, HOUR)
    others = {download_id(replace(SCHEDULE, created=2.0), HOUR), download_id(SCHEDULE, 2 * HOUR)}
    assert id not in others


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("f.csv", "f.1970-01-01T010000Z.csv"),
        ("f", "f.1970-01-01T010000Z"),
        (".f", ".f.1970-01-01T010000Z"),
        ("f.tar.gz", "f.tar.1970-01-01T010000Z.gz"),
    ],
)
def test_versions_have_the_time_of_their_run_before_the_extension(filename: str, expected: str) -> None:
    assert version_name(replace(DEFINITION, filename=filename), HOUR) == filename
    assert version_name(replace(DEFINITION, filename=filename, keep=2), HOUR) == expected


def test_a_run_is_conditional_only_with_the_file_of_the_last_one() -> None:
    known = replace(SCHEDULE, condition=CONDITION)
    assert make_request(known, HOUR, has_file=True).condition == CONDITION
    assert make_request(known, HOUR, has_file=False).condition is None


def test_the_end_of_a_completed_run_gives_validators_and_a_version() -> None:
    started = start_run(SCHEDULE, HOUR, HOUR)
    row = sample_download(id=download_id(SCHEDULE, HOUR), state=State.COMPLETED, validator='"v"', last_modified=7)
    settlement = settle(started, row)
    assert settlement is not None
    settled = settlement.schedule
    assert settled.condition == Condition(entity_tag='"v"', last_modified=7)
    assert settled.versions == (Version(due=HOUR, download_id=row.id),)
    assert settled.is_settled
    assert settlement.superseded == ()


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        ({"weak_tag": 'W/"v"'}, Condition(entity_tag='W/"v"')),
        ({"validator": "Tue, 14 Nov 2023 22:13:20 GMT", "last_modified": 7}, Condition(last_modified=7)),
        ({}, None),
    ],
)
def test_weak_validators_and_dates_are_used_too(fields: dict[str, Any], condition: Condition | None) -> None:
    settlement = settle(start_run(SCHEDULE, HOUR, HOUR), sample_download(state=State.COMPLETED, **fields))
    assert settlement is not None
    assert settlement.schedule.condition == condition


@pytest.mark.parametrize("state", [State.SKIPPED, State.FAILED, State.CANCELLED, None])
def test_another_end_leaves_validators_and_versions(state: State | None) -> None:
    version = Version(due=0, download_id="x")
    started = start_run(replace(SCHEDULE, condition=CONDITION, versions=(version,)), HOUR, HOUR)
    settlement = settle(started, None if state is None else sample_download(state=state))
    assert settlement is not None
    assert settlement.schedule == replace(started, is_settled=True)


def test_a_run_under_way_is_not_settled() -> None:
    assert settle(start_run(SCHEDULE, HOUR, HOUR), sample_download(state=State.QUEUED)) is None


def test_versions_beyond_those_that_are_kept_are_superseded() -> None:
    old = tuple(Version(due=due, download_id=str(due)) for due in (2, 1))
    kept = replace(SCHEDULE, versions=old, definition=replace(DEFINITION, keep=2))
    settlement = settle(start_run(kept, HOUR, HOUR), sample_download(state=State.COMPLETED))
    assert settlement is not None
    assert [version.due for version in settlement.schedule.versions] == [HOUR, 2]
    assert [version.due for version in settlement.superseded] == [1]


def test_another_url_or_name_begins_anew_and_other_times_plan_anew() -> None:
    known = replace(plan(SCHEDULE, 1800), condition=CONDITION, versions=(Version(due=1, download_id="x"),))
    assert redefine(known, replace(DEFINITION, keep=3), 1800).condition == CONDITION
    moved = redefine(known, replace(DEFINITION, url="https://b/f.csv"), 1800)
    assert (moved.condition, moved.versions, moved.next_run) == (None, (), HOUR)
    assert redefine(known, replace(DEFINITION, cron="30 * * * *"), 1900).next_run == 1.5 * HOUR
    assert redefine(known, DEFINITION, 1900) == known
