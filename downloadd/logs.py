"""Logging: structlog, configured so that an event takes microseconds and never waits for standard error.

The caller renders a line and puts it into a queue, from which a thread writes. While the queue is full because the
reader is slow, lines are dropped and counted; the number is logged as soon as the thread can write again.
"""

import json
import logging
import os
import re
import select
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

import msgspec
import structlog

from downloadd.clock import Clock, SystemClock

MAX_QUEUED_LINES: Final = 16_384
"""Lines in the queue; further lines are dropped."""
FLUSH_TIMEOUT_SECONDS: Final = 2.0
"""Seconds that a stopping daemon waits until its last lines are written."""
STANDARD_ERROR: Final = 2

_COALESCE_SECONDS: Final = 0.01
_BATCH_LINES: Final = 256
_ENCODER: Final = msgspec.json.Encoder(enc_hook=str)
_RESERVED_KEYS: Final = frozenset({"timestamp", "level", "event", "exception"})
_CONTROL_BYTES: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
"""Delete, and U+0080 to U+009F in UTF-8, which terminals may interpret like the escape character."""


class LogFormat(StrEnum):
    """Format of a line."""

    CONSOLE = "console"
    """Text for people."""
    JSON = "json"
    """One JSON object for programs."""


class LogLevel(StrEnum):
    """Lowest level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def number(self) -> int:
        """Number of the level in the standard library."""
        return logging.getLevelNamesMapping()[self.upper()]


class LogWriter:
    """Queue of lines from any thread, which a thread of its own writes to a file descriptor; `put` does not block."""

    def __init__(self, descriptor: int, *, report: Callable[[int], bytes], capacity: int = MAX_QUEUED_LINES) -> None:
        """Create a writer; `report` renders the line about a number of dropped lines; `capacity` is in lines."""
        self._descriptor = descriptor
        self._report = report
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._dropped_lock = threading.Lock()
        self._wake_event = threading.Event()
        self._close_event = threading.Event()
        # A daemon thread, because a stopped terminal must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_all, name="downloadd-log", daemon=True)

    def open(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def put(self, line: bytes) -> None:
        """Put a line with its line feed into the queue, or count it as dropped if the queue is full."""
        if len(self._lines) >= self._capacity:
            self._count_dropped(1)
            return
        self._lines.append(line)
        if not self._wake_event.is_set():
            self._wake_event.set()

    def close(self, timeout: float = FLUSH_TIMEOUT_SECONDS) -> bool:
        """Write the queued lines; return False if that is not complete after `timeout` seconds."""
        self._close_event.set()
        self._wake_event.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _write_all(self) -> None:
        while True:
            self._wake_event.wait()
            # Waiting shortly lets a busy daemon write many lines with one wake-up and one system call.
            closing = self._close_event.wait(_COALESCE_SECONDS)
            # Clear before reading the queue, so that a line that is put in between wakes the writer again.
            self._wake_event.clear()
            while self._lines or self._dropped:
                self._write_batch()
            if closing:
                return

    def _write_batch(self) -> None:
        batch = [self._lines.popleft() for _ in range(min(len(self._lines), _BATCH_LINES))]
        if not self._lines and self._dropped:
            with self._dropped_lock:
                dropped, self._dropped = self._dropped, 0
            batch.append(self._report(dropped))
        data = memoryview(b"".join(batch))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:
                # The reader has closed the pipe or the disk is full; there is no other place to report it.
                return

    def _count_dropped(self, count: int) -> None:
        with self._dropped_lock:
            self._dropped += count


@contextmanager
def configured_logging(
    descriptor: int = STANDARD_ERROR,
    *,
    format: LogFormat = LogFormat.CONSOLE,
    level: LogLevel = LogLevel.INFO,
    clock: Clock | None = None,
    capacity: int = MAX_QUEUED_LINES,
) -> Iterator[LogWriter]:
    """Log events of structlog, and of the standard library from WARNING on, to `descriptor`; flush at the end.

    The console format has colours if `descriptor` is a terminal.
    """
    clock = clock or SystemClock()
    render: Callable[[Mapping[str, object]], bytes]
    render = render_json if format is LogFormat.JSON else ConsoleRenderer(colours=_is_terminal(descriptor))
    formatter = _LineFormatter(clock, render)
    writer = LogWriter(descriptor, report=formatter.report_dropped, capacity=capacity).open()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level.number),
        logger_factory=_LineLoggerFactory(writer),
        cache_logger_on_first_use=False,
    )
    handler = _StandardLibraryHandler(writer, formatter, max(level.number, logging.WARNING))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield writer
    finally:
        root.removeHandler(handler)
        structlog.reset_defaults()
        writer.close()


def render_json(entry: Mapping[str, object]) -> bytes:
    """Return one JSON object and a line feed, with every control character escaped.

    RFC 8259, section 7, requires it only for U+0000 to U+001F.
    """
    try:
        line = _ENCODER.encode(entry) + b"\n"
    except (TypeError, ValueError, OverflowError):
        # Lone surrogates, huge integers or keys that are not text: rare, but logging must never fail.
        return json.dumps({str(key): _to_json_value(value) for key, value in entry.items()}).encode() + b"\n"
    # Most lines are ASCII; these two checks take a fraction of the time of the search.
    if line.isascii() and b"\x7f" not in line:
        return line
    return _CONTROL_BYTES.sub(_escape, line)


def _escape(control: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(control[0].decode())


class ConsoleRenderer:
    """Renderer of a line for people: time, level, event, `key=value`; an exception follows on lines of its own.

    Values with other characters than printable ones are quoted, so that a client can neither forge a line nor control a
    terminal. The renderer of structlog takes several times as long.
    """

    _COLOURS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m"}
    _ERROR_COLOUR: Final = "\x1b[31m"
    _DIM: Final = "\x1b[2m"
    _BOLD: Final = "\x1b[1m"
    _RESET: Final = "\x1b[0m"

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, entry: Mapping[str, object]) -> bytes:
        """Return the line with its line feed."""
        level, event = str(entry["level"]), _format_value(entry["event"])
        if self._colours:
            colour = self._COLOURS.get(level, self._ERROR_COLOUR)
            parts = [
                f"{self._DIM}{entry['timestamp']}{self._RESET}",
                f"{colour}{level:<8}{self._RESET}",
                f"{self._BOLD}{event}{self._RESET}",
            ]
        else:
            parts = [f"{entry['timestamp']} {level:<8} {event}"]
        parts += [f"{key}={_format_value(value)}" for key, value in entry.items() if key not in _RESERVED_KEYS]
        line = " ".join(parts)
        if "exception" in entry:
            line += "".join(f"\n    {_escape_unprintable(part)}" for part in str(entry["exception"]).splitlines())
        return line.encode("utf-8", "backslashreplace") + b"\n"


class _LineFormatter:
    """Last processor: adds time and level, and renders."""

    def __init__(self, clock: Clock, render: Callable[[Mapping[str, object]], bytes]) -> None:
        self._clock = clock
        self._render = render
        # Formatting a date takes longer than the rest of a line, so it is done once a second.
        self._cached_second = (0, "1970-01-01T00:00:00")

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> bytes:
        """Return the line of an event of structlog."""
        exception = event.pop("exc_info", None)
        if exception:
            event["exception"] = _format_exception(exception)
        return self.line("error" if method == "exception" else method, event)

    def line(self, level: str, fields: MutableMapping[str, Any]) -> bytes:
        """Return the line of an event that happens now."""
        event = fields.pop("event", "")
        now = self._clock.wall()
        second, date = self._cached_second
        if now - second >= 1 or now < second:
            second = int(now // 1)
            date = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
            self._cached_second = second, date
        head = {"timestamp": f"{date}.{int((now - second) * 1000):03}Z", "level": level, "event": event}
        return self._render({**head, **fields, **head})

    def report_dropped(self, count: int) -> bytes:
        """Return the line about `count` dropped lines."""
        return self.line("warning", {"event": "log_lines_dropped", "count": count})


class _LineLogger:
    """Logger that structlog calls with a rendered line."""

    def __init__(self, writer: LogWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = writer.put


class _LineLoggerFactory:
    def __init__(self, writer: LogWriter) -> None:
        self._logger = _LineLogger(writer)

    def __call__(self, *names: str) -> _LineLogger:
        return self._logger


class _StandardLibraryHandler(logging.Handler):
    """Handler that sends the log records of libraries to the same writer."""

    def __init__(self, writer: LogWriter, formatter: _LineFormatter, level: int) -> None:
        super().__init__(level)
        self._writer = writer
        self._formatter = formatter

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        if record.name.startswith("aiohttp.server"):
            fields = _server_event(record)
        else:
            fields = {"event": _message(record), "logger": record.name}
            if record.exc_info:
                fields["exception"] = _format_exception(record.exc_info)
        self._writer.put(self._formatter.line(level, fields))


def _server_event(record: logging.LogRecord) -> dict[str, Any]:
    """Return an event of aiohttp's server without its message, which may repeat a token that the client sent."""
    kind = record.exc_info[0] if record.exc_info else None
    fields: dict[str, Any] = {"event": "connection_failed", "logger": record.name}
    if kind is not None:
        fields["error"] = kind.__name__
        if kind.__module__.startswith("aiohttp.http"):
            fields["event"] = "bad_request"
        elif record.exc_info:
            fields["exception"] = "".join(traceback.format_tb(record.exc_info[2])).rstrip()
    return fields


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _format_exception(exception: Any) -> str:
    if isinstance(exception, BaseException):
        error: BaseException | None = exception
    elif isinstance(exception, tuple):
        error = exception[1]
    else:
        error = sys.exception()
    return "" if error is None else "".join(traceback.format_exception(error)).rstrip()


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


_matches_unquoted: Final = re.compile(r"[!#-<>-~]+").fullmatch
"""Match a value that needs no quotes: printable ASCII except space, quote and equals sign."""


def _format_value(value: object) -> str:
    if isinstance(value, str):
        if _matches_unquoted(value):
            return str(value)
        return json.dumps(value, ensure_ascii=not value.isprintable())
    if value is None or isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(_format_value(item) for item in value)}]"
    return json.dumps(str(value))


def _escape_unprintable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _to_json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_to_json_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _to_json_value(item) for key, item in value.items()}
    return str(value)
