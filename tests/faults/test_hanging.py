"""Nothing holds a place for ever: what hangs is ended, and whoever comes next has the place."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from manager.house import CONFIG, open_house
from msgspec.structs import replace
from origin.answer import Answer
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


@pytest.mark.parametrize("call", ["pwritev", "fsync", "link"])
async def test_a_disk_that_does_not_answer_costs_its_download_and_not_the_place(
    call: str, tmp_path: Path, origin: Origin, let_go: threading.Event, monkeypatch: pytest.MonkeyPatch
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
    async with open_house(tmp_path, NARROW, fsync=True) as house:
        (tmp_path / "files" / "d").mkdir()
        monkeypatch.setattr(os, call, hang)
        started = await house.manager.start([Order(url=origin.url("/f"), directory="d") for _ in range(2)], user="u")
        first, second = [await house.manager.wait(one.id, 10) for one in started.downloads]
        assert hung.is_set()
        assert (first.state, first.error) == (State.FAILED, ErrorCode.STORAGE_ERROR)
        assert first.detail is not None
        assert "does not answer" in first.detail
        assert second.state is State.COMPLETED
        let_go.set()


def test_whatever_moves_is_left_alone() -> None:
    begun = feel(None, state=State.DOWNLOADING, taken=0, now=0)
    assert feel(begun, state=State.DOWNLOADING, taken=0, now=5) is begun
    assert feel(begun, state=State.DOWNLOADING, taken=1, now=5).seen_at == 5
    assert feel(begun, state=State.VERIFYING, taken=0, now=5).seen_at == 5


@pytest.mark.parametrize(
    ("pulse", "stall_timeout", "limited", "after"),
    [
        (State.STARTING, 10.0, False, 10 + MARGIN),
        (State.DOWNLOADING, 10.0, False, 10 + MARGIN),
        (State.VERIFYING, 10.0, False, 10 + MARGIN + 100),
        (State.VERIFYING, 10.0, True, 10 + MARGIN + 100),
        (State.DOWNLOADING, 10.0, True, None),
        (State.DOWNLOADING, 0.0, False, None),
    ],
)
def test_it_is_ended_when_every_other_limit_would_have_ended_it(
    pulse: State, stall_timeout: float, limited: bool, after: float | None
) -> None:
    last = Pulse(state=pulse, taken=0, seen_at=0)

    def still(now: float) -> bool:
        return stands_still(last, size=100 * SLOWEST_DISK, stall_timeout=stall_timeout, limited=limited, now=now)

    if after is None:
        assert not still(1e9)
    else:
        assert not still(after)
        assert still(after + 1)
