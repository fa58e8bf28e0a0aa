"""The process that writes small files: started again when it ends, and replaced by threads when that does not help."""

import errno
import fcntl
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.clocks import ManualClock
from support.waiting import CONDITION_TIMEOUT

from downloadd.storage import commit_process, unnamed_files
from downloadd.storage.commit_process import CommitBusyError, CommitProcess
from downloadd.storage.unnamed_files import Content, Link, WrittenFile

PROGRAM = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(unnamed_files.__file__).parent)!r})
import unnamed_files
counter = Path(__file__).with_suffix(".count")
def before(name):
    call = getattr(os, name)
    def counted(*args, **options):
        left = int(counter.read_text()) - 1
        counter.write_text(str(left))
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **options)
    setattr(os, name, counted)
for name in ("open", "pwrite", "fchmod", "fsync", "link"):
    before(name)
unnamed_files.main(int(sys.argv[1]))
"""
"""Program that kills itself before the call whose number is in a file beside it."""
CALLS = 4 * 2 + 3
"""Calls for two files: open, write, mode and sync of each, two links and a sync of the directory."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def directory_fd(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def process(directory_fd: int) -> Iterator[CommitProcess]:
    process = CommitProcess(ManualClock(), is_enabled=True)
    process.start(directory_fd, 1)
    yield process
    process.close()


def contents(*data: bytes, first: int = 1) -> list[Content]:
    return [Content(first + index, one, 0o644, None, None) for index, one in enumerate(data)]


def publish(process: CommitProcess, directory_fd: int, files: dict[str, bytes], *, first: int = 1) -> list[int]:
    """Write and link files; return the errors of the links."""
    written = process.write(directory_fd, contents(*files.values(), first=first), fsync=True)
    links = []
    for token, (name, file) in enumerate(zip(files, written, strict=True), first):
        assert isinstance(file, WrittenFile), file
        links.append(Link(token, name, file))
    return process.link(directory_fd, links, fsync=True)


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_of_any_size_and_number_are_written_in_another_process(
    process: CommitProcess, folder: Path, directory_fd: int
) -> None:
    files = {f"{number} ä": os.urandom(size) for number, size in enumerate([0, 1, 16_384, 3_000_000, *range(700)])}
    assert publish(process, directory_fd, files) == [0] * len(files)
    assert stored(folder) == files
    assert process.pid not in {None, os.getpid()}


def test_the_process_has_no_descriptor_but_those_of_the_root_and_of_its_connection(process: CommitProcess) -> None:
    fd = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        process.start(fd, 2)
        process.discard([1])
        targets = [os.readlink(path) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
    finally:
        os.close(fd)
    assert sorted(target.partition(":")[0] for target in targets) == ["/dev/null"] * 3 + ["/etc/passwd", "socket"]
    assert Path(f"/proc/{process.pid}/environ").read_bytes() == b""


def test_a_process_that_ends_is_started_again_and_its_request_repeated(
    process: CommitProcess, folder: Path, directory_fd: int
) -> None:
    for number in range(5):
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with capture_logs() as lines:
            assert publish(process, directory_fd, {f"{number}": b"x"}, first=number + 1) == [0]
        assert [line["event"] for line in lines] == ["commit_process_ended"]
        assert process.pid != pid
    assert len(stored(folder)) == 5


@pytest.mark.parametrize("killed_at", range(1, CALLS + 2))
def test_a_kill_of_the_process_before_any_call_publishes_files_once_and_completely_or_reports_them_as_lost(
    tmp_path: Path, folder: Path, directory_fd: int, killed_at: int
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    program.with_suffix(".count").write_text(str(killed_at))
    process = CommitProcess(ManualClock(), is_enabled=True, program=str(program))
    process.start(directory_fd, 1)
    files = {"a": b"a" * 20_000, "b": b"b" * 20_000}
    try:
        first = process.pid
        results = publish(process, directory_fd, files)
        assert (process.pid == first) == (killed_at > CALLS)
    finally:
        process.close()
    assert set(results) <= {0, errno.ESTALE}
    assert stored(folder) == {
        name: data for (name, data), result in zip(files.items(), results, strict=True) if not result
    }
    # What was linked before the kill is found again.
    assert results.count(0) == 2 if killed_at <= 8 or killed_at >= CALLS else results != [0, 0]


def test_a_program_that_never_answers_is_replaced_by_threads(folder: Path, directory_fd: int, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit(3)")
    process = CommitProcess(ManualClock(), is_enabled=True, program=str(program))
    process.start(directory_fd, 1)
    with capture_logs() as lines:
        assert publish(process, directory_fd, {"a": b"x"}) == [0]
    assert [line["event"] for line in lines] == ["commit_process_ended"] * 3 + ["commit_process_disabled"]
    assert stored(folder) == {"a": b"x"}
    assert process.pid is None
    process.start(directory_fd, 1)
    assert process.pid is None, "it stays disabled"
    process.close()


def test_without_a_process_the_calling_thread_writes(folder: Path, directory_fd: int) -> None:
    process = CommitProcess(ManualClock(), is_enabled=False)
    process.start(directory_fd, 1)
    assert publish(process, directory_fd, {"a": b"x"}) == [0]
    assert process.pid is None
    assert stored(folder) == {"a": b"x"}


def test_the_lock_of_the_root_lasts_until_the_process_has_ended(folder: Path) -> None:
    root_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(root_fd, fcntl.LOCK_EX)
    process = CommitProcess(ManualClock(), is_enabled=True)
    process.start(root_fd, 1)
    process.discard([1])
    os.close(root_fd)
    other = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.close()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(other)


def test_a_process_that_hangs_delays_the_next_request_for_a_limited_time(
    process: CommitProcess, folder: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_process, "MAX_WAIT_SECONDS", 0.05)
    clock = process._clock
    assert isinstance(clock, ManualClock)
    process.discard([1])
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    results: list[list[int]] = []
    thread = threading.Thread(target=lambda: results.append(publish(process, directory_fd, {"a": b"x"})))
    thread.start()
    try:
        while process._busy_since is None:
            pass
        states = [process.is_stuck]
        clock.now += 1
        assert [*states, process.is_stuck] == [False, True]
        with pytest.raises(CommitBusyError):
            process.write(directory_fd, contents(b"y", first=9), fsync=True)
        with pytest.raises(CommitBusyError):
            process.start(directory_fd, 1)
    finally:
        os.kill(pid, signal.SIGCONT)
        thread.join(CONDITION_TIMEOUT)
    assert results == [[0]]
    assert stored(folder) == {"a": b"x"}


def test_a_discard_is_one_exchange_and_none_without_files(
    process: CommitProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, answers = commit_process._receive, []

    def record(connection: socket.socket) -> object:
        answers.append(receive(connection))
        return answers[-1]

    monkeypatch.setattr(commit_process, "_receive", record)
    process.discard([1, 2])
    process.discard([])
    assert len(answers) == 1


def test_what_was_discarded_while_a_request_hung_is_closed_with_the_next_request(
    process: CommitProcess, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_process, "MAX_WAIT_SECONDS", 0.05)
    [written] = process.write(directory_fd, contents(b"x", first=1), fsync=True)
    assert isinstance(written, WrittenFile)
    pid = process.pid
    assert pid is not None

    def open_files() -> list[str]:
        targets = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return [target for target in targets if target.endswith("(deleted)")]

    assert len(open_files()) == 1
    os.kill(pid, signal.SIGSTOP)
    thread = threading.Thread(target=process.link, args=(directory_fd, []), kwargs={"fsync": True})
    thread.start()
    try:
        while process._busy_since is None:
            pass
        process.discard([1])
    finally:
        os.kill(pid, signal.SIGCONT)
        thread.join(CONDITION_TIMEOUT)
    process.link(directory_fd, [], fsync=True)
    assert open_files() == []
