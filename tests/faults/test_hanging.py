"""Nothing holds a place for ever: what hangs is ended, and whoever comes next has the place."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from manager.house import CONFIG, open_house
from msgspec.structs import replace
from origin.answer import Answer, failure
from origin.origin import Origin

from downloadd.errors import ErrorCode
from downloadd.manager.intake import Order
from downloadd.manager.supervision import MARGIN, SLOWEST_DISK, Pulse, feel, stands_still
from downloadd.states import State

NARROW = replace(CONFIG, max_concurrent=1, stall_timeout=0.3, timeout=0)


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """What hangs goes on when it is set, at the latest at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("call", ["pwritev", "fsync", "link"])
async def test_a_disk_that_does_not_answer_costs_its_download_and_not_the_place(
    call: str, limit: int, tmp_path: Path, origin: Origin, let_go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.script("/f", Answer(size=1000))
    real = getattr(os, call)
    hung = threading.Event()

    def hang(*args: Any, **options: Any) -> Any:
        if threading.current_thread().name.startswith("disk-") and not hung.is_set():
            hung.set()
            let_go.wait()
        return real(*args, **options)

    monkeypatch.setattr("downloadd.manager.supervision.MARGIN", 0.2)
    monkeypatch.setattr("downloadd.manager.manager.PULSE_SECONDS", 0.05)
    async with open_house(tmp_path, replace(NARROW, speed_limit=limit), fsync=True) as house:
        (tmp_path / "files" / "d").mkdir()
        monkeypatch.setattr(os, call, hang)
        started = await house.manager.start([Order(url=origin.url("/f"), directory="d") for _ in range(2)], user="u")
        first, second = [await house.manager.wait(one.id, 10) for one in started.downloads]
        assert hung.is_set()
        assert (first.state, first.result.error) == (State.FAILED, ErrorCode.STORAGE_ERROR)
        assert first.result.detail is not None
        assert "does not answer" in first.result.detail
        assert second.state is State.COMPLETED
        let_go.set()


async def test_many_sources_that_hang_are_asked_one_after_the_other(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.manager.supervision.MARGIN", 0.2)
    monkeypatch.setattr("downloadd.manager.manager.PULSE_SECONDS", 0.05)
    hanging = [f"/hangs/{number}" for number in range(5)]
    for path in hanging:
        origin.script(path, Answer(size=1000, head_gate=asyncio.Event()))
    origin.script("/f", Answer(size=1000))
    async with open_house(tmp_path, NARROW) as house:
        order = Order(url=origin.url(hanging[0]), mirrors=list(map(origin.url, [*hanging[1:], "/f"])), directory="d")
        started = await house.manager.start([order], user="u")
        ended = await house.manager.wait(started.downloads[0].id, 20)
        assert ended.state is State.COMPLETED
        assert [len(origin.requests(path)) for path in hanging] == [1] * 5


async def test_a_source_that_hangs_costs_little_while_there_are_others(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.transfer.attempt.PATIENCE", 0.2)
    hanging = [f"/hangs/{number}" for number in range(5)]
    for path in hanging:
        origin.script(path, Answer(size=1000, head_gate=asyncio.Event()))
    origin.script("/f", Answer(size=1000))
    async with open_house(tmp_path, replace(NARROW, stall_timeout=60)) as house:
        order = Order(url=origin.url(hanging[0]), mirrors=list(map(origin.url, [*hanging[1:], "/f"])), directory="d")
        started = await house.manager.start([order], user="u")
        assert (await house.manager.wait(started.downloads[0].id, 10)).state is State.COMPLETED


async def test_a_source_that_takes_its_time_is_waited_for_when_no_other_has_it(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.transfer.attempt.PATIENCE", 0.2)
    origin.script("/slow", Answer(size=1000, delay=1))
    origin.script("/gone", failure(404))
    async with open_house(tmp_path, replace(NARROW, stall_timeout=60, retries=0)) as house:
        order = Order(url=origin.url("/slow"), mirrors=[origin.url("/gone")], directory="d")
        started = await house.manager.start([order], user="u")
        assert (await house.manager.wait(started.downloads[0].id, 10)).state is State.COMPLETED
        assert (len(origin.requests("/slow")), len(origin.requests("/gone"))) == (2, 1)


async def test_what_waits_for_a_slow_limit_is_left_alone(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.manager.supervision.MARGIN", 0.2)
    monkeypatch.setattr("downloadd.manager.manager.PULSE_SECONDS", 0.05)
    origin.script("/f", Answer(size=3000))
    # A portion takes a second.
    async with open_house(tmp_path, replace(NARROW, speed_limit=1024)) as house:
        started = await house.manager.start([Order(url=origin.url("/f"), directory="d")], user="u")
        assert (await house.manager.wait(started.downloads[0].id, 20)).state is State.COMPLETED


def test_whatever_moves_is_left_alone() -> None:
    begun = Pulse(state=State.DOWNLOADING, taken=0, asked=1, seen_at=0)

    def felt(state: State = State.DOWNLOADING, taken: int = 0, asked: int = 1, waits: bool = False) -> Pulse:
        return feel(begun, state=state, taken=taken, asked=asked, waits=waits, now=5)

    assert felt() is begun
    assert felt(taken=1).seen_at == 5
    assert felt(asked=2).seen_at == 5
    assert felt(state=State.VERIFYING).seen_at == 5
    assert felt(waits=True).seen_at == 5


@pytest.mark.parametrize(
    ("pulse", "stall_timeout", "after"),
    [
        (State.STARTING, 10.0, 10 + MARGIN),
        (State.DOWNLOADING, 10.0, 10 + MARGIN),
        (State.VERIFYING, 10.0, 10 + MARGIN + 100),
        (State.DOWNLOADING, 0.0, None),
    ],
)
def test_it_is_ended_when_every_other_limit_would_have_ended_it(
    pulse: State, stall_timeout: float, after: float | None
) -> None:
    last = Pulse(state=pulse, taken=0, asked=0, seen_at=0)

    def still(now: float) -> bool:
        return stands_still(last, size=100 * SLOWEST_DISK, stall_timeout=stall_timeout, now=now)

    if after is None:
        assert not still(1e9)
    else:
        assert not still(after)
        assert still(after + 1)
