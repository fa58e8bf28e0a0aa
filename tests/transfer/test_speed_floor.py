"""Least speed of an attempt, in virtual time."""

import asyncio

import pytest
from support.clocks import LoopClock
from support.virtual_time import in_virtual_time

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.transfer.own_delays import OwnDelays
from downloadd.transfer.speed_floor import SpeedFloor, SpeedPolicy

MIN_SPEED = 1000
WINDOW = SpeedPolicy().window_seconds


class Transfer:
    """Transfer that receives bytes once a second."""

    def __init__(self, min_speed: int = MIN_SPEED) -> None:
        clock = LoopClock()
        self.received = 0
        self.delays = OwnDelays(clock)
        self.floor = SpeedFloor(
            min_speed, received=lambda: self.received, delays=self.delays, clock=clock, policy=SpeedPolicy()
        )

    async def run(self, seconds: int, speed: int) -> None:
        for _ in range(seconds):
            await asyncio.sleep(1)
            self.received += speed


@in_virtual_time
async def test_a_slow_transfer_ends_after_the_window() -> None:
    transfer = Transfer()
    with pytest.raises(NetworkError, match="less than 1000 bytes a second for 60 s") as caught:
        async with transfer.floor.enforced():
            await transfer.run(1000, MIN_SPEED - 50)
    assert (caught.value.kind, caught.value.transient) == (NetworkErrorKind.SLOW, True)
    assert WINDOW <= asyncio.get_running_loop().time() < WINDOW + 3


@pytest.mark.parametrize(("min_speed", "speed"), [(MIN_SPEED, MIN_SPEED + 50), (0, 0)])
def test_a_transfer_that_is_fast_enough_goes_on(min_speed: int, speed: int) -> None:
    @in_virtual_time
    async def transfer_on() -> None:
        transfer = Transfer(min_speed)
        async with transfer.floor.enforced():
            await transfer.run(1000, speed)
        assert transfer.received == 1000 * speed

    transfer_on()


@in_virtual_time
async def test_a_transfer_that_becomes_slow_ends() -> None:
    transfer = Transfer()

    async def slow_down() -> None:
        async with transfer.floor.enforced():
            await transfer.run(500, 2 * MIN_SPEED)
            await transfer.run(500, MIN_SPEED // 2)

    with pytest.raises(NetworkError):
        await slow_down()
    assert asyncio.get_running_loop().time() < 500 + WINDOW


@in_virtual_time
async def test_delays_of_the_daemon_itself_are_not_counted() -> None:
    transfer = Transfer()
    async with transfer.floor.enforced():
        for _ in range(100):
            await transfer.run(1, MIN_SPEED + 50)
            with transfer.delays.counted():
                await asyncio.sleep(9)


@in_virtual_time
async def test_other_errors_and_cancellations_pass() -> None:
    transfer = Transfer()
    with pytest.raises(TimeoutError, match="inner"):
        async with transfer.floor.enforced():
            raise TimeoutError("inner")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5), transfer.floor.enforced():
            await transfer.run(1000, 0)
    assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.01)
