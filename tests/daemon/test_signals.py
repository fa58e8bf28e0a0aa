import asyncio
import os
import signal

import pytest

from downloadd.daemon.signals import Signals, Wish


class Heard:
    """What the callbacks were told."""

    def __init__(self) -> None:
        self.stops: list[signal.Signals] = []
        self.impatience: list[signal.Signals] = []

    def signals(self) -> Signals:
        return Signals(on_stop=self.stops.append, on_impatience=self.impatience.append)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_stop_is_a_wish_that_stays(number: signal.Signals) -> None:
    heard = Heard()
    with heard.signals() as signals:
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(signals.next_wish(), 10) is Wish.STOP
        assert await asyncio.wait_for(signals.next_wish(), 10) is Wish.STOP
    assert (heard.stops, heard.impatience) == ([number], [])


async def test_every_later_signal_to_stop_is_impatience() -> None:
    heard = Heard()
    with heard.signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.next_wish(), 10)
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(10):
            while not heard.impatience:
                await asyncio.sleep(0)
    assert heard.stops == [signal.SIGTERM]
    assert heard.impatience == [signal.SIGINT]


async def test_a_reload_is_a_wish_that_is_fulfilled_once() -> None:
    heard = Heard()
    with heard.signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert await asyncio.wait_for(signals.next_wish(), 10) is Wish.RELOAD
        waiting = asyncio.ensure_future(signals.next_wish())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        os.kill(os.getpid(), signal.SIGHUP)
        assert await asyncio.wait_for(waiting, 10) is Wish.RELOAD
    assert heard.stops == []


async def test_a_stop_comes_before_a_reload() -> None:
    heard = Heard()
    with heard.signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            while not heard.stops:
                await asyncio.sleep(0)
        assert await signals.next_wish() is Wish.STOP


async def test_the_handlers_are_gone_afterwards() -> None:
    with Heard().signals():
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
