"""Limits of hours of the week, applied in virtual time."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from support.clocks import NOW, LoopClock
from support.dispatchers import make_dispatcher
from support.virtual_time import in_virtual_time

from downloadd.config import DownloadsConfig, LimitConfig
from downloadd.events import EventBus, SettingsChanged
from downloadd.manager.hourly_limits import HourlyLimits, follow_hours, limits_of
from downloadd.manager.limits import Limits
from downloadd.manager.queue_report import describe_wait
from downloadd.manager.run_limits import HOLD_REASON, RunLimits
from downloadd.manager.speed_share import SpeedLimit
from downloadd.runtime_settings import RuntimeSettings

CONFIG = DownloadsConfig(max_concurrent=64, max_per_host=16, speed_limit=0)
CONFIGURED = RuntimeSettings(max_concurrent=64, max_per_host=16, speed_limit=0)
# The virtual time begins on a Tuesday at 22:13:20 UTC.
EVENING = LimitConfig(hours="22:00-23:00", speed_limit=1000)
NIGHT = LimitConfig(hours="23:00-06:00", speed_limit=2000, max_concurrent=3, allow_starts=False)
TO_NIGHT = 3600 - 800
TO_MORNING = TO_NIGHT + 7 * 3600


class JumpingLoopClock(LoopClock):
    """Clock of the loop whose wall time a test sets."""

    def __init__(self) -> None:
        self.jump = 0.0

    def wall(self) -> float:
        return super().wall() + self.jump


class Stack:
    """The limits of a queue without downloads."""

    def __init__(self, *entries: LimitConfig, **options: Any) -> None:
        self.clock = JumpingLoopClock()
        self.bus = EventBus()
        self.dispatcher = make_dispatcher(Limits.from_config(CONFIG), self.clock)
        self.limits = RunLimits(self.dispatcher.queue, SpeedLimit(CONFIG.speed_limit))
        self.hours = HourlyLimits(
            self.limits, entries=entries, config=CONFIG, bus=self.bus, clock=self.clock, **options
        )

    def wait_reason(self) -> str:
        return describe_wait(self.dispatcher.queue._scheduler, "http://a:80", None, 0)


def test_what_an_entry_does_not_give_is_that_of_the_configuration() -> None:
    assert limits_of(CONFIG, None) == CONFIGURED
    assert limits_of(CONFIG, EVENING) == replace(CONFIGURED, speed_limit=1000)
    assert limits_of(CONFIG, NIGHT) == RuntimeSettings(
        max_concurrent=3, max_per_host=16, speed_limit=2000, allow_starts=False
    )


def test_an_entry_lets_no_more_run_than_the_open_files_are_enough_for() -> None:
    assert limits_of(CONFIG, LimitConfig(max_concurrent=500), max_runs=100).max_concurrent == 100
    assert limits_of(CONFIG, LimitConfig(max_concurrent=500), max_runs=None).max_concurrent == 500


def test_a_change_of_a_user_lasts_until_hours_limit_the_same_value() -> None:
    by_user = replace(CONFIGURED, speed_limit=7, max_per_host=2)
    day, evening = CONFIGURED, replace(CONFIGURED, speed_limit=1000)
    assert follow_hours(by_user, day, evening) == replace(by_user, speed_limit=1000)
    assert follow_hours(by_user, day, day) == by_user


@in_virtual_time
async def test_the_limits_hold_from_the_start_and_change_with_the_hours() -> None:
    stack = Stack(EVENING, NIGHT)
    async with stack.hours:
        assert stack.limits.settings == replace(CONFIGURED, speed_limit=1000)
        assert stack.hours.settings.next_change == NOW + TO_NIGHT
        await asyncio.sleep(TO_NIGHT - 1)
        assert stack.limits.settings.allow_starts
        await asyncio.sleep(2)
        assert stack.limits.settings == limits_of(CONFIG, NIGHT)
        assert stack.wait_reason() == "nothing starts by the limits of 23:00-06:00 UTC"
        shown = stack.hours.settings
        assert (shown.hours and shown.hours.hours, shown.next_change) == ("23:00-06:00", NOW + TO_MORNING)
        await asyncio.sleep(TO_MORNING - TO_NIGHT)
        assert stack.limits.settings == CONFIGURED
        assert stack.hours.settings.hours is None


@in_virtual_time
async def test_each_change_is_published() -> None:
    stack = Stack(NIGHT)
    async with stack.hours:
        with stack.bus.subscribe() as subscription:
            await asyncio.sleep(TO_NIGHT + 1)
            [published] = await subscription.receive()
    assert isinstance(published.event, SettingsChanged)
    assert (published.event.settings.allow_starts, published.event.settings.speed_limit) == (False, 2000)


@in_virtual_time
async def test_a_change_of_a_user_beats_the_hours_until_they_change() -> None:
    stack = Stack(NIGHT)
    async with stack.hours:
        await asyncio.sleep(TO_NIGHT + 1)
        stack.limits.change(replace(stack.limits.settings, allow_starts=True, max_per_host=2))
        await asyncio.sleep(3600)
        assert stack.limits.settings.allow_starts
        await asyncio.sleep(TO_MORNING)
        assert stack.limits.settings == replace(CONFIGURED, max_per_host=2)


@in_virtual_time
async def test_a_hold_of_a_user_is_named_as_such() -> None:
    stack = Stack()
    stack.limits.change(replace(CONFIGURED, allow_starts=False))
    assert stack.wait_reason() == HOLD_REASON


@pytest.mark.parametrize("jump", [TO_NIGHT, -86_400 + TO_NIGHT])
@in_virtual_time
async def test_a_clock_that_is_set_is_noticed_within_half_a_minute(jump: float) -> None:
    stack = Stack(NIGHT)
    async with stack.hours:
        await asyncio.sleep(1)
        stack.clock.jump = jump
        await asyncio.sleep(31)
        assert not stack.limits.settings.allow_starts
        stack.clock.jump = 0
        await asyncio.sleep(31)
        assert stack.limits.settings == CONFIGURED


@in_virtual_time
async def test_a_new_configuration_replaces_the_entries() -> None:
    stack = Stack()
    async with stack.hours:
        await asyncio.sleep(1)
        stack.hours.configure([EVENING], CONFIG)
        assert stack.limits.settings.speed_limit == 1000
        await asyncio.sleep(TO_NIGHT)
        assert stack.limits.settings == CONFIGURED
        # As a reload does it: first the limits of the configuration.
        stack.hours.configure([NIGHT], CONFIG)
        assert not stack.limits.settings.allow_starts


@in_virtual_time
async def test_the_limit_of_hours_is_the_reason_of_waiting_downloads() -> None:
    stack = Stack(LimitConfig(max_concurrent=1))
    async with stack.hours:
        stack.dispatcher.queue._scheduler.runs.begin(1, ("http://b:80", "", "u"), "", has_target_slot=True, now=0)
        assert stack.wait_reason() == "1 download is running (max_concurrent, 00:00-24:00 UTC)"
