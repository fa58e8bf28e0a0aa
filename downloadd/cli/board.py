"""What is shown while downloads are followed: live bars on a terminal, else a line whenever something has changed."""

from collections.abc import Iterable
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from downloadd.cli import words
from downloadd.client import ActiveEntry, Connected, Disconnected, Event, PastEntry, State
from downloadd.clock import Clock
from downloadd.states import RUNNING

REFRESHES: Final = 4
"""A second."""
BAR: Final = 24
"""Columns."""
NARROW: Final = 90
"""Columns of a terminal in which a bar is left out."""
SOON_OVER: Final = frozenset({State.QUEUED, State.STARTING})
"""States that deserve no line: nothing has come yet, and mostly it does at once."""
QUIET: Final = 5.0
"""Seconds between two lines about the same download that only moves."""

GOOD: Final = frozenset({State.COMPLETED, State.SKIPPED})
"""Ends that nobody has to do anything about."""


class Board(Protocol):
    """Shows events, as long as the context."""

    def see(self, event: Event) -> None:
        """Takes an event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def ending(entry: PastEntry) -> Text:
    """How a download has ended, in one line."""
    line = Text(f"{words.name_of(entry)}: {words.STATES[entry.status]}")
    line.stylize("green" if entry.status in GOOD else "red", len(words.name_of(entry)) + 2)
    if entry.status is State.COMPLETED:
        line.append(f", {words.size(entry.total_bytes)} in {words.span(entry.end_time - entry.start_time)}")
    elif why := words.why(entry):
        line.append(f", {why}")
    return line


class LiveBoard:
    """Bars that move in place; what ends is written above them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._entries: dict[str, ActiveEntry] = {}
        self._lost: str | None = None
        self._live = Live(self, console=console, refresh_per_second=REFRESHES, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def see(self, event: Event) -> None:
        """Takes an event; what is seen changes at the next refresh."""
        match event.data:
            case ActiveEntry() as entry:
                self._entries[entry.id] = entry
            case PastEntry() as entry:
                self._entries.pop(entry.id, None)
                self._live.console.print(ending(entry), soft_wrap=True)
            case Connected():
                self._lost = None
            case Disconnected(reason=reason):
                self._lost = reason
            case _:
                pass

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        running = [entry for entry in self._entries.values() if entry.status in RUNNING]
        others = [entry for entry in self._entries.values() if entry.status not in RUNNING]
        room = max(1, console.height - 3)
        shown = [*running, *others][:room]
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        wide = console.width >= NARROW
        for _ in range(4 if wide else 3):
            table.add_column(no_wrap=True, justify="right")
        for entry in shown:
            table.add_row(words.name_of(entry), *([_bar(entry)] if wide else []), *_facts(entry))
        yield Group(table, Text(self._footer(running, others, hidden=len(self._entries) - len(shown)), style="dim"))

    def _footer(self, running: list[ActiveEntry], others: list[ActiveEntry], *, hidden: int) -> str:
        if self._lost is not None:
            return f"{words.printable(self._lost)}; trying again"
        parts = [f"{len(running)} running", f"{len(others)} waiting or paused"]
        parts.append(f"{words.size(sum(entry.speed or 0 for entry in running))}/s")
        if hidden:
            parts.append(f"{hidden} more")
        return " · ".join(parts)


def _bar(entry: ActiveEntry) -> ProgressBar:
    return ProgressBar(total=entry.expected_size, completed=entry.current_size, width=BAR, pulse=False)


def _facts(entry: ActiveEntry) -> tuple[str, str, str]:
    if entry.status is State.DOWNLOADING:
        speed = "" if entry.speed is None else f"{words.size(entry.speed)}/s"
        return words.amount(entry), speed, "" if entry.eta is None else words.span(entry.eta)
    return words.amount(entry), "", words.STATES[entry.status]


class PlainBoard:
    """One line for each change, and now and then one for what moves: for pipes, logs and scripts."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._said: dict[str, tuple[State, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def see(self, event: Event) -> None:
        """Takes an event, and writes its line if it is worth one."""
        match event.data:
            case ActiveEntry() as entry if entry.status not in SOON_OVER:
                before, at = self._said.get(entry.id, (None, 0.0))
                now = self._clock.monotonic()
                if entry.status is not before or now - at >= QUIET:
                    self._said[entry.id] = entry.status, now
                    self._say(_moving(entry))
            case PastEntry() as entry:
                self._said.pop(entry.id, None)
                self._say(ending(entry).plain)
            case Disconnected(reason=reason):
                self._say(f"{words.printable(reason)}; trying again")
            case _:
                pass

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _moving(entry: ActiveEntry) -> str:
    amount, speed, _ = _facts(entry)
    parts: Iterable[str] = (words.STATES[entry.status], amount, speed, words.why(entry))
    return f"{words.name_of(entry)}: {', '.join(part for part in parts if part)}"
