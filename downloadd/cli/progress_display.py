"""Progress of watched downloads: live bars on a terminal, otherwise a line for each change."""

from collections.abc import Iterable
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from downloadd.cli import formatting
from downloadd.client import ActiveEntry, Connected, Disconnected, Event, HistoryEntry, State
from downloadd.clock import Clock
from downloadd.states import RUNNING, UNSUCCESSFUL

REFRESHES_PER_SECOND: Final = 4
BAR_COLUMNS: Final = 24
"""Width of a bar in columns."""
MIN_COLUMNS_FOR_BAR: Final = 90
"""Width of a terminal in columns below which bars are omitted."""
UNREPORTED_STATES: Final = frozenset({State.QUEUED, State.STARTING})
"""States without a line of their own: no byte was received yet, and the next state usually follows at once."""
MIN_REPORT_SECONDS: Final = 5.0
"""Seconds between two lines about the progress of one download."""


class ProgressDisplay(Protocol):
    """Display of events, open as long as the context."""

    def handle_event(self, event: Event) -> None:
        """Show an event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def format_finished(entry: HistoryEntry) -> Text:
    """Return one line about the end of a download."""
    line = Text(f"{formatting.format_name(entry)}: {formatting.format_state(entry.status)}")
    line.stylize("red" if entry.status in UNSUCCESSFUL else "green", len(formatting.format_name(entry)) + 2)
    if entry.status is State.COMPLETED:
        line.append(
            f", {formatting.format_size(entry.total_bytes)}"
            f" in {formatting.format_duration(entry.end_time - entry.start_time)}"
        )
    elif reason := formatting.format_reason(entry):
        line.append(f", {reason}")
    return line


class LiveProgressDisplay:
    """Bars that are updated in place; ended downloads are printed above them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._entries: dict[str, ActiveEntry] = {}
        self._disconnect_reason: str | None = None
        self._live = Live(self, console=console, refresh_per_second=REFRESHES_PER_SECOND, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def handle_event(self, event: Event) -> None:
        """Record an event; the next refresh shows it."""
        match event.data:
            case ActiveEntry() as entry:
                self._entries[entry.id] = entry
            case HistoryEntry() as entry:
                self._entries.pop(entry.id, None)
                self._live.console.print(format_finished(entry), soft_wrap=True)
            case Connected():
                self._disconnect_reason = None
            case Disconnected(reason=reason):
                self._disconnect_reason = reason
            case _:
                pass

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        running = [entry for entry in self._entries.values() if entry.status in RUNNING]
        others = [entry for entry in self._entries.values() if entry.status not in RUNNING]
        max_rows = max(1, console.height - 3)
        shown = [*running, *others][:max_rows]
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        wide = console.width >= MIN_COLUMNS_FOR_BAR
        for _ in range(4 if wide else 3):
            table.add_column(no_wrap=True, justify="right")
        for entry in shown:
            table.add_row(
                formatting.format_name(entry), *([_build_bar(entry)] if wide else []), *_format_columns(entry)
            )
        yield Group(table, Text(self._footer(running, others, hidden=len(self._entries) - len(shown)), style="dim"))

    def _footer(self, running: list[ActiveEntry], others: list[ActiveEntry], *, hidden: int) -> str:
        if self._disconnect_reason is not None:
            return f"{formatting.replace_unprintable(self._disconnect_reason)}; reconnecting"
        parts = [f"{len(running)} running", f"{len(others)} waiting or paused"]
        parts.append(f"{formatting.format_size(sum(entry.speed or 0 for entry in running))}/s")
        if hidden:
            parts.append(f"{hidden} more")
        return " · ".join(parts)


def _build_bar(entry: ActiveEntry) -> ProgressBar:
    return ProgressBar(total=entry.expected_size, completed=entry.current_size, width=BAR_COLUMNS, pulse=False)


def _format_columns(entry: ActiveEntry) -> tuple[str, str, str]:
    if entry.status is State.DOWNLOADING:
        speed = "" if entry.speed is None else f"{formatting.format_size(entry.speed)}/s"
        return (
            formatting.format_progress(entry),
            speed,
            "" if entry.eta is None else formatting.format_duration(entry.eta),
        )
    return formatting.format_progress(entry), "", formatting.format_state(entry.status)


class PlainProgressDisplay:
    """One line for each change of a state, and periodic lines about progress: for pipes, logs and scripts."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._last_reported: dict[str, tuple[State, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def handle_event(self, event: Event) -> None:
        """Print a line for an event, unless it repeats the last one."""
        match event.data:
            case ActiveEntry() as entry if entry.status not in UNREPORTED_STATES:
                before, at = self._last_reported.get(entry.id, (None, 0.0))
                now = self._clock.monotonic()
                if entry.status is not before or now - at >= MIN_REPORT_SECONDS:
                    self._last_reported[entry.id] = entry.status, now
                    self._write_line(_format_active(entry))
            case HistoryEntry() as entry:
                self._last_reported.pop(entry.id, None)
                self._write_line(format_finished(entry).plain)
            case Disconnected(reason=reason):
                self._write_line(f"{formatting.replace_unprintable(reason)}; reconnecting")
            case _:
                pass

    def _write_line(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _format_active(entry: ActiveEntry) -> str:
    amount, speed, _ = _format_columns(entry)
    parts: Iterable[str] = (formatting.format_state(entry.status), amount, speed, formatting.format_reason(entry))
    return f"{formatting.format_name(entry)}: {', '.join(part for part in parts if part)}"
