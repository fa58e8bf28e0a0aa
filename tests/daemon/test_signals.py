import asyncio
import os
import signal

import pytest
from support.waiting import CONDITION_TIMEOUT

from downloadd.daemon.signals import SignalRequest, Signals


class SignalRecorder:
    """Recorder of the calls of both callbacks."""

    def __init__(self) -> None:
        self.stops: list[signal.Signals] = []
        self.repeated_stops: list[signal.Signals] = []

    def signals(self) -> Signals:
        return Signals(on_stop=self.stops.append, on_repeated_stop=self.repeated_stops.append)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_request_stays(number: signal.Signals) -> None:
    recorder = SignalRecorder()
    with recorder.signals() as signals:
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(signals.next_request(), CONDITION_TIMEOUT) is SignalRequest.STOP
        assert await asyncio.wait_for(signals.next_request(), CONDITION_TIMEOUT) is SignalRequest.STOP
    assert (recorder.stops, recorder.repeated_stops) == ([number], [])


async def test_every_later_stop_signal_is_a_repeated_stop() -> None:
    recorder = SignalRecorder()
    with recorder.signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.next_request(), CONDITION_TIMEOUT)
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not recorder.repeated_stops:
                await asyncio.sleep(0)
    assert recorder.stops == [signal.SIGTERM]
    assert recorder.repeated_stops == [signal.SIGINT]


async def test_a_reload_is_requested_once() -> None:
    recorder = SignalRecorder()
    with recorder.signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert await asyncio.wait_for(signals.next_request(), CONDITION_TIMEOUT) is SignalRequest.RELOAD
        waiting = asyncio.ensure_future(signals.next_request())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        os.kill(os.getpid(), signal.SIGHUP)
        assert await asyncio.wait_for(waiting, CONDITION_TIMEOUT) is SignalRequest.RELOAD
    assert recorder.stops == []


async def test_a_stop_comes_before_a_reload() -> None:
    recorder = SignalRecorder()
    with recorder.signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not recorder.stops:
                await asyncio.sleep(0)
        assert await signals.next_request() is SignalRequest.STOP


async def test_the_handlers_are_gone_afterwards() -> None:
    with SignalRecorder().signals():
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
