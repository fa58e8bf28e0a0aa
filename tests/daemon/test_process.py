"""The daemon's start in the process of the test; tests/daemon/test_main.py runs it as a process of its own."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.config_files import user
from support.waiting import wait_until

from downloadd.accounts.user_file import write_users
from downloadd.accounts.user_store import make_user
from downloadd.clock import SystemClock
from downloadd.config import Flags
from downloadd.daemon import process, systemd
from downloadd.daemon.address_file import read_address
from downloadd.daemon.process import Daemon, ProcessOptions, StartState, prepare_start
from downloadd.errors import StartupError
from downloadd.logs import LogFormat, LogLevel, LogWriter


def options(tmp_path: Path, toml: str = "", **environment: str) -> ProcessOptions:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return ProcessOptions(
        file=file,
        flags=Flags(port=0, state_dir=str(tmp_path / "state"), root=str(tmp_path / "files")),
        environment=environment,
        log_format=LogFormat.JSON,
        log_level=LogLevel.INFO,
    )


def start_state(given: ProcessOptions, stack: ExitStack) -> StartState:
    return prepare_start(given, given.read_config(), stack)


def test_without_users_the_first_one_is_added_and_greeted_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = start_state(options(tmp_path), stack)
        second = start_state(options(tmp_path), stack)
    token = (tmp_path / "state" / "token").read_text().strip()
    assert first.greeting is not None
    assert token in first.greeting
    assert "Downloads are refused" in first.greeting
    assert second.greeting is None
    # The app finds it in its file.
    assert first.config.users == ()


def test_the_journal_gets_no_token(tmp_path: Path) -> None:
    with ExitStack() as stack:
        start = start_state(options(tmp_path, JOURNAL_STREAM="8:1"), stack)
    assert (tmp_path / "state" / "token").read_text().strip() not in str(start.greeting)


def test_configured_users_need_no_first_one(tmp_path: Path) -> None:
    with ExitStack() as stack:
        start = start_state(options(tmp_path, user("alice")), stack)
    assert start.greeting is None
    assert [each.id for each in start.config.users] == ["alice"]
    assert not (tmp_path / "state").exists()


def test_users_of_the_state_directory_or_a_shared_database_need_no_first_one(tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert start_state(options(tmp_path, '[cluster]\ndatabase = "postgresql://h/d"\n'), stack).greeting is None
        (tmp_path / "state").mkdir()
        write_users(tmp_path / "state", [make_user("ann", [])[0]])
        assert start_state(options(tmp_path), stack).greeting is None
    assert not (tmp_path / "state" / "token").exists()


def test_sockets_are_bound_and_closed_with_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with ExitStack() as stack:
        start = start_state(options(tmp_path, f"[server]\nunix_socket = {json.dumps(str(path))}\n{user()}"), stack)
        families = [listener.family for listener in start.sockets]
        assert families == [socket.AF_INET, socket.AF_UNIX]
        assert path.is_socket()
    assert not path.exists()
    assert all(listener.fileno() == -1 for listener in start.sockets)


def test_the_name_of_the_unix_socket_is_removed_once(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with ExitStack() as stack:
        start = start_state(options(tmp_path, f"[server]\nunix_socket = {json.dumps(str(path))}\n{user()}"), stack)
        start.remove_socket_names()
        assert not path.exists()
        path.write_text("of another daemon")
        start.remove_socket_names()
    assert path.read_text() == "of another daemon"


class RecordedDeadline:
    """Deadline that ends nothing, and records for each exit status if a path exists when it is set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[int, bool] = {}

    def __call__(self, before_exit: Callable[[], object]) -> "RecordedDeadline":
        return self

    def set(self, seconds: float, exit_status: int) -> None:
        self.found[exit_status] = self.path.exists()


async def test_the_name_of_the_unix_socket_is_removed_before_the_process_may_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.sock"
    deadline = RecordedDeadline(path)
    monkeypatch.setattr(process, "ExitDeadline", deadline)
    given = options(tmp_path, f"[server]\nunix_socket = {json.dumps(str(path))}\n{user()}")
    with ExitStack() as stack:
        start = start_state(given, stack)
        daemon = Daemon(
            given,
            start,
            log_writer=LogWriter(2, report=lambda count: b""),
            notifier=systemd.Notifier(None),
            clock=SystemClock(),
        )
        serving = asyncio.create_task(daemon.serve())
        await wait_until(lambda: serving.done() or read_address(tmp_path / "state"))
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    assert deadline.found == {1: True, 0: False}


def test_former_names_are_kept_for_the_log(tmp_path: Path) -> None:
    with ExitStack() as stack:
        start = start_state(options(tmp_path, f"[downloads]\nallow = true\n{user()}"), stack)
    assert [each.current for each in start.renamed] == ["downloads.enabled"]


def test_a_mistake_in_the_configuration_ends_the_start(tmp_path: Path) -> None:
    given = replace(options(tmp_path), flags=Flags(port=-1))
    with pytest.raises(StartupError) as caught:
        given.read_config()
    assert caught.value.exit_status == 2
