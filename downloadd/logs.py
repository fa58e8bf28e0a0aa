"""Logs: structlog set up so that an event costs microseconds where it happens and never waits for standard error.

A line is rendered where it is logged and handed to a thread that writes. When nobody reads, lines are dropped, counted,
and the count is reported once writing goes on.
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
"""Lines that may wait for the writer; one more is dropped."""
FLUSH_TIMEOUT_SECONDS: Final = 2.0
"""How long a stopping daemon waits for its last lines to be written."""
STANDARD_ERROR: Final = 2

_COALESCE_SECONDS: Final = 0.01
_BATCH_LINES: Final = 256
_ENCODER: Final = msgspec.json.Encoder(enc_hook=str)
_RESERVED_KEYS: Final = frozenset({"timestamp", "level", "event", "exception"})
_CONTROL_BYTES: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
"""Delete, and U+0080 to U+009F in UTF-8, which terminals may obey as they do the escape character."""


class LogFormat(StrEnum):
    """How a line looks."""

    CONSOLE = "console"
    """For people."""
    JSON = "json"
    """An object a line, for programs."""


class LogLevel(StrEnum):
    """The least level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def number(self) -> int:
        """The level as the standard library counts."""
        return logging.getLevelNamesMapping()[self.upper()]


class LogWriter:
    """Takes lines from any thread, without blocking, and writes them to a file descriptor in a thread of its own."""

    def __init__(self, descriptor: int, *, report: Callable[[int], bytes], capacity: int = MAX_QUEUED_LINES) -> None:
        """`report` makes the line that tells how many were dropped; `capacity` is in lines."""
        self._descriptor = descriptor
        self._report = report
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._dropped_lock = threading.Lock()
        self._wake_event = threading.Event()
        self._close_event = threading.Event()
        # A daemon thread: a terminal that is stopped must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_all, name="downloadd-log", daemon=True)

    def open(self) -> Self:
        """Starts to write."""
        self._thread.start()
        return self

    def put(self, line: bytes) -> None:
        """Takes one line, its line feed included, or counts it as dropped."""
        if len(self._lines) >= self._capacity:
            self._count_dropped(1)
            return
        self._lines.append(line)
        if not self._wake_event.is_set():
            self._wake_event.set()

    def close(self, timeout: float = FLUSH_TIMEOUT_SECONDS) -> bool:
        """Writes what waits; False when that took longer than `timeout` seconds and was given up."""
        self._close_event.set()
        self._wake_event.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _write_all(self) -> None:
        while True:
            self._wake_event.wait()
            # A busy daemon then pays for one wake-up and one system call for many lines.
            closing = self._close_event.wait(_COALESCE_SECONDS)
            # Cleared before the queue is looked at: a line that comes in between wakes the writer again.
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
                # The reader has gone or the disk is full: there is nobody left to tell.
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
    """Sends structlog and, from WARNING on, the standard library's logging to `descriptor`; flushes at the end.

    Colours are used in the console format when `descriptor` is a terminal.
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
    """One JSON object and a line feed, without control characters: RFC 8259, section 7, escapes but half of them."""
    try:
        line = _ENCODER.encode(entry) + b"\n"
    except (TypeError, ValueError, OverflowError):
        # Lone surrogates, huge integers, keys that are no text: rare, and a log line must never fail.
        return json.dumps({str(key): _to_json_value(value) for key, value in entry.items()}).encode() + b"\n"
    # Most lines are ASCII, and these two looks cost a fraction of the search.
    if line.isascii() and b"\x7f" not in line:
        return line
    return _CONTROL_BYTES.sub(_escape, line)


def _escape(control: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(control[0].decode())


class ConsoleRenderer:
    """One line for people: time, level, event, `key=value`; an exception follows on lines of its own.

    Values are quoted when they hold anything but printable characters, so that no client can forge a line or steer a
    terminal. Not structlog's renderer, which takes several times as long a line.
    """

    _COLOURS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m"}
    _ERROR_COLOUR: Final = "\x1b[31m"
    _DIM: Final = "\x1b[2m"
    _BOLD: Final = "\x1b[1m"
    _RESET: Final = "\x1b[0m"

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, entry: Mapping[str, object]) -> bytes:
        """The line, its line feed included."""
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
    """The last processor: adds time and level, and renders."""

    def __init__(self, clock: Clock, render: Callable[[Mapping[str, object]], bytes]) -> None:
        self._clock = clock
        self._render = render
        # Writing a date costs more than all the rest of a line, so one serves for its second.
        self._cached_second = (0, "1970-01-01T00:00:00")

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> bytes:
        """The line of a structlog event."""
        exception = event.pop("exc_info", None)
        if exception:
            event["exception"] = _format_exception(exception)
        return self.line("error" if method == "exception" else method, event)

    def line(self, level: str, fields: MutableMapping[str, Any]) -> bytes:
        """The line of an event of this moment."""
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
        """The line that tells of `count` lost ones."""
        return self.line("warning", {"event": "log_lines_dropped", "count": count})


class _LineLogger:
    """What structlog calls with a finished line."""

    def __init__(self, writer: LogWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = writer.put


class _LineLoggerFactory:
    def __init__(self, writer: LogWriter) -> None:
        self._logger = _LineLogger(writer)

    def __call__(self, *names: str) -> _LineLogger:
        return self._logger


class _StandardLibraryHandler(logging.Handler):
    """Brings what libraries log into the same writer."""

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
    """An event of aiohttp's server without its message, because that repeats what the client sent, tokens included."""
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
"""What needs no quotes: printable ASCII but space, quote and equals sign."""


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
