"""Displays of progress."""

import io

from rich.console import Console
from support.clocks import ManualClock
from support.sample_downloads import sample_download

from downloadd.cli.progress_display import (
    MIN_REPORT_SECONDS,
    LiveProgressDisplay,
    PlainProgressDisplay,
    format_finished,
)
from downloadd.client import Disconnected, Event
from downloadd.client.events import EventData
from downloadd.download import Snapshot
from downloadd.fronts.rest.entries import make_active_entry, make_history_entry
from downloadd.states import State


def event(data: EventData) -> Event:
    return Event(data=data, id="")


def active(state: State, received: int = 0) -> Event:
    return event(make_active_entry(Snapshot(download=sample_download(state=state, received=received, total=2048))))


def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_is_written_for_each_change_of_the_state() -> None:
    out, clock = console(), ManualClock()
    with PlainProgressDisplay(out, clock) as display:
        for each in (
            active(State.STARTING),
            active(State.DOWNLOADING, 1),
            active(State.DOWNLOADING, 2),
            active(State.PAUSED),
        ):
            display.handle_event(each)
        clock.now += MIN_REPORT_SECONDS
        display.handle_event(active(State.PAUSED))
    assert written(out) == "a: downloading, 1 B of 2.00 KiB\na: paused, 0 B of 2.00 KiB\na: paused, 0 B of 2.00 KiB\n"


def test_a_lost_connection_is_written_without_control_characters() -> None:
    out = console()
    PlainProgressDisplay(out, ManualClock()).handle_event(event(Disconnected(reason="\x1b gone")))
    assert written(out) == "\N{REPLACEMENT CHARACTER} gone; reconnecting\n"


def test_the_end_has_the_size_and_time_or_the_error() -> None:
    completed = make_history_entry(sample_download(state=State.COMPLETED, total=2048, start_time=1, end_time=3))
    failed = make_history_entry(sample_download(state=State.FAILED, error="NETWORK_ERROR", detail="cut"))
    assert format_finished(completed).plain == "a: completed, 2.00 KiB in 2 s"
    assert format_finished(failed).plain.endswith(": cut")
    assert [str(span.style) for span in format_finished(completed).spans] == ["green"]
    assert [str(span.style) for span in format_finished(failed).spans] == ["red"]


def test_the_bars_are_those_of_active_downloads() -> None:
    out = console()
    display = LiveProgressDisplay(out)
    display.handle_event(active(State.DOWNLOADING, 1024))
    out.print(display)
    assert "1.00 KiB of 2.00 KiB" in written(out)
    assert "1 running · 0 waiting or paused · 0 B/s" in written(out)
    display.handle_event(event(make_history_entry(sample_download(state=State.COMPLETED, total=1))))
    display.handle_event(event(Disconnected(reason="gone")))
    out.print(display)
    assert written(out).endswith("gone; reconnecting\n")
