"""Pauses between pieces of work."""

import asyncio

import pytest

from downloadd.manager.pause import MAX_PAUSE_SECONDS, pause_after


@pytest.mark.parametrize(("busy", "pause"), [(-1.0, 0.0), (0.01, 0.01), (1000.0, MAX_PAUSE_SECONDS)])
async def test_a_pause_is_as_long_as_the_work_and_limited(
    monkeypatch: pytest.MonkeyPatch, busy: float, pause: float
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await pause_after(busy)
    assert slept == [pause]
