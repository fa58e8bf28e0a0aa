import json
import logging
import os
import pty
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage
from hypothesis import example, given
from hypothesis import strategies as st
from support.clocks import ManualClock
from support.stopwatch import Stopwatch
from support.waiting import wait_until_true

from downloadd.logs import ConsoleRenderer, LogFormat, LogLevel, LogWriter, configured_logging, render_json


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log"


def written(file: Path, log: Callable[[Any], object], **options: Any) -> list[str]:
    """Return the lines that `log` writes with the logger that it receives."""
    with file.open("wb") as stream, configured_logging(stream.fileno(), clock=ManualClock(1_700_000_000.25), **options):
        log(structlog.get_logger("test"))
    return file.read_text().splitlines()


def entries(file: Path, log: Callable[[Any], object], **options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(file, log, format=LogFormat.JSON, **options)]


# -- lines -------------------------------------------------------------------------------------------------------------


def test_a_json_line_is_an_object_with_time_level_event_and_fields(file: Path) -> None:
    (entry,) = entries(
        file, lambda log: log.info("transfer_resumed", download_id="abc", offset=5, ratio=0.5, none=None)
    )
    assert entry == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "event": "transfer_resumed",
        "download_id": "abc",
        "offset": 5,
        "ratio": 0.5,
        "none": None,
    }


def test_a_console_line_has_keys_and_quoted_values(file: Path) -> None:
    assert written(file, lambda log: log.warning("run_fenced", epoch=3, path="a b", url="http://h/x?y")) == [
        '2023-11-14T22:13:20.250Z warning  run_fenced epoch=3 path="a b" url=http://h/x?y'
    ]


def test_the_timestamp_follows_the_clock_back_and_forth(file: Path) -> None:
    clock = ManualClock(1_700_000_000.25)
    moments = (1_700_000_000.0, 1_700_000_000.9995, 1_700_000_001.0, 1_699_999_999.5)
    with file.open("wb") as stream, configured_logging(stream.fileno(), format=LogFormat.JSON, clock=clock):
        for clock.now in moments:
            structlog.get_logger().info("tick")
    assert [json.loads(line)["timestamp"][-10:] for line in file.read_text().splitlines()] == [
        "13:20.000Z",
        "13:20.999Z",
        "13:21.000Z",
        "13:19.500Z",
    ]


def test_context_variables_are_in_every_line(file: Path) -> None:
    def log(logger: Any) -> None:
        with structlog.contextvars.bound_contextvars(request_id="r1"):
            logger.bind(download_id="d1").info("a")
        logger.info("b")

    first, second = entries(file, log)
    assert (first["request_id"], first["download_id"]) == ("r1", "d1")
    assert "request_id" not in second


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param(LogLevel.DEBUG, ["debug", "info", "warning", "error", "critical"], id="debug"),
        pytest.param(LogLevel.INFO, ["info", "warning", "error", "critical"], id="info"),
        pytest.param(LogLevel.ERROR, ["error", "critical"], id="error"),
    ],
)
def test_lines_below_the_level_are_left_out(file: Path, level: LogLevel, expected: list[str]) -> None:
    def log(logger: Any) -> None:
        for name in LogLevel:
            getattr(logger, name.value)("event")

    assert [entry["level"] for entry in entries(file, log, level=level)] == expected


def fail(logger: Any) -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logger.exception("task_failed")


def test_an_exception_is_one_field_of_a_json_line(file: Path) -> None:
    (entry,) = entries(file, fail)
    assert entry["level"] == "error"
    assert entry["exception"].startswith("Traceback")
    assert entry["exception"].endswith("RuntimeError: broken")


def test_an_exception_follows_a_console_line_indented(file: Path) -> None:
    first, *rest = written(file, fail)
    assert first.endswith("error    task_failed")
    assert rest[-1] == "    RuntimeError: broken"
    assert all(line.startswith("    ") for line in rest)


def test_an_exception_object_may_be_given(file: Path) -> None:
    (entry,) = entries(file, lambda log: log.error("task_failed", exc_info=ValueError("given")))
    assert entry["exception"] == "ValueError: given"


def test_fields_cannot_take_the_place_of_time_and_level(file: Path) -> None:
    (entry,) = entries(file, lambda log: log.info("e", level="none", timestamp=0))
    assert (entry["level"], entry["timestamp"][:4]) == ("info", "2023")


ODD = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary(), st.builds(object)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(value=ODD)
@example(value="\x7f")
@example(value="\x80\x85\x9b31m\x9f\xa0\xc2")
@example(value={"\x7f\x9b": ["\x7f", "\x9b"]})
@example(value="\udcff\x7f\x9b")
def test_every_value_becomes_one_line_in_either_format(value: object) -> None:
    entry = {"timestamp": "t", "level": "info", "event": "e", "field": value}
    for line in (render_json(entry), ConsoleRenderer(colours=False)(entry)):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", line.decode())
    parsed = json.loads(render_json(entry))
    assert parsed["event"] == "e"
    if isinstance(value, str):
        assert parsed["field"] == value


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "a=b c", "\udcff", "\u2028", '"', "\u202egnp.exe"])
def test_no_value_forges_a_line_or_controls_a_terminal(text: str) -> None:
    line = ConsoleRenderer(colours=False)({"timestamp": "t", "level": "info", "event": "e", "path": text}).decode()
    assert re.fullmatch(r't info     e path="[ -~]*"\n', line)


def test_only_a_terminal_gets_colours(file: Path) -> None:
    master, terminal = pty.openpty()
    try:
        with configured_logging(terminal, clock=ManualClock(1_700_000_000.25)):
            structlog.get_logger().info("hello")
        assert b"\x1b[1mhello\x1b[0m" in os.read(master, 4096)
    finally:
        os.close(master)
        os.close(terminal)
    assert "\x1b" not in written(file, lambda log: log.info("hello"))[0]


# -- the standard library ----------------------------------------------------------------------------------------------


def test_warnings_of_libraries_are_logged_and_their_information_is_not(file: Path) -> None:
    def log(_: object) -> None:
        logging.getLogger("asyncio").warning("%s is slow", "it")
        logging.getLogger("asyncio").info("unimportant")

    (entry,) = entries(file, log)
    assert (entry["level"], entry["event"], entry["logger"]) == ("warning", "it is slow", "asyncio")


def test_a_record_with_wrong_arguments_is_logged_unformatted(file: Path) -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "ERROR", "msg": "%d", "args": ("text",)})
    (entry,) = entries(file, lambda _: logging.getLogger().handlers[-1].handle(record))
    assert entry["event"] == "%d"


SECRET = "Bearer-very-secret"


def test_a_bad_request_is_logged_without_its_bytes(file: Path) -> None:
    def log(_: object) -> None:
        try:
            raise BadHttpMessage(f"invalid header: {SECRET}")
        except BadHttpMessage as error:
            logging.getLogger("aiohttp.server").exception("Error handling %s", SECRET, exc_info=error)

    (entry,) = entries(file, log)
    assert (entry["event"], entry["error"]) == ("bad_request", "BadHttpMessage")
    assert SECRET not in file.read_text()


def test_a_broken_connection_is_logged_with_its_frames_and_no_message(file: Path) -> None:
    def log(_: object) -> None:
        try:
            raise RuntimeError(SECRET)
        except RuntimeError:
            logging.getLogger("aiohttp.server").exception("Unhandled exception")

    (entry,) = entries(file, log)
    assert (entry["event"], entry["error"]) == ("connection_failed", "RuntimeError")
    assert "test_logs.py" in entry["exception"]
    # The frame shows the source line, which names the variable, and not what was in it.
    assert SECRET not in file.read_text()


def test_leaving_the_context_restores_the_configuration(file: Path) -> None:
    handlers, threads = logging.getLogger().handlers.copy(), set(threading.enumerate())
    written(file, lambda log: log.info("x"))
    assert logging.getLogger().handlers == handlers
    assert not structlog.is_configured()
    assert set(threading.enumerate()) <= threads


# -- the pipe ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with suppress(OSError):
            os.close(descriptor)


def read_until(descriptor: int, end: bytes) -> bytes:
    read = b""
    while end not in read:
        read += os.read(descriptor, 65536)
    return read


def test_a_reader_that_stops_does_not_block_and_dropped_lines_are_reported(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    capacity, sent = 100, 5000
    with configured_logging(writer, format=LogFormat.JSON, capacity=capacity):
        log = structlog.get_logger()
        # A write that waits for the reader would never come back.
        for number in range(sent):
            log.info("line", number=number, padding="x" * 200)
        lines: list[int] = []
        lost, rest = 0, b""
        while len(lines) + lost < sent:
            *whole, rest = (rest + os.read(reader, 65536)).split(b"\n")
            for entry in map(json.loads, whole):
                if entry["event"] == "log_lines_dropped":
                    lost += entry["count"]
                else:
                    lines.append(entry["number"])
        log.info("last")
        assert b'"last"' in read_until(reader, b"\n")
    assert lost > 0
    assert len(lines) >= capacity
    assert lines == sorted(set(lines))


def test_every_dropped_line_is_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    log = LogWriter(writer, report=lambda count: f"lost {count}\n".encode(), capacity=3)
    for number in range(10):
        log.put(f"{number}\n".encode())
    log.open()
    assert log.close()
    assert os.read(reader, 4096) == b"0\n1\n2\nlost 7\n"


def test_lines_of_many_threads_arrive_whole(file: Path) -> None:
    def log(_: object) -> None:
        def log_in_thread(name: int) -> None:
            logger = structlog.get_logger()
            for number in range(300):
                logger.info("line", name=name, number=number)

        threads = [threading.Thread(target=log_in_thread, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    found = entries(file, log)
    for name in range(4):
        assert [entry["number"] for entry in found if entry["name"] == name] == list(range(300))


def test_a_line_is_written_before_the_context_ends(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with configured_logging(writer):
        structlog.get_logger().info("first")
        assert b"first" in os.read(reader, 4096)
        structlog.get_logger().info("second")
        assert b"second" in os.read(reader, 4096)


def test_a_descriptor_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    with configured_logging(writer, format=LogFormat.JSON):
        for number in range(2000):
            structlog.get_logger().info("line", number=number, padding="x" * 100)
        data = read_until(reader, b'"number":1999,')
    assert [json.loads(line)["number"] for line in data.splitlines()[:1999]] == list(range(1999))


def test_closing_does_not_wait_for_a_reader_that_stopped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log = LogWriter(writer, report=lambda _: b"").open()
    log.put(b"x" * 1_000_000)
    watch = Stopwatch()
    assert not log.close(0.1)
    assert watch.seconds < 5
    os.close(reader)
    wait_until_true(lambda: not log._thread.is_alive())


def test_a_closed_pipe_is_not_an_error(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    log = LogWriter(writer, report=lambda _: b"").open()
    log.put(b"x")
    assert log.close()


def test_logging_a_line_takes_little_time_in_the_caller(file: Path) -> None:
    def log(logger: Any) -> None:
        count, best = 2000, 1.0
        for _ in range(5):
            start = time.thread_time()
            for _ in range(count):
                logger.info(
                    "request", method="GET", path="/x", status=201, duration_ms=1.234, user="u", download_id="d"
                )
            best = min(best, (time.thread_time() - start) / count)
        # Several times the measured 6 µs, because a busy machine or a tracer must not fail this.
        assert best < (60e-6 if sys.gettrace() is None else 1)

    with file.open("wb") as stream, configured_logging(stream.fileno(), format=LogFormat.JSON, capacity=100_000):
        log(structlog.get_logger())
