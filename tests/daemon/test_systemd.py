import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import CONDITION_TIMEOUT

from downloadd.daemon.systemd import VARIABLES, Notifier, clear_environment, inherited_sockets, watchdog_interval
from downloadd.errors import StartupError


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Yield the notification socket of the service manager, and its address for `NOTIFY_SOCKET`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        if request.param == "path":
            address = str(tmp_path / "notify")
            end.bind(address)
        else:
            address = f"@downloadd-test-{os.getpid()}"
            end.bind("\0" + address[1:])
        end.settimeout(CONDITION_TIMEOUT)
        yield end, address


def test_every_state_reaches_the_service_manager(manager: tuple[socket.socket, str]) -> None:
    end, address = manager
    with Notifier(address) as notifier:
        assert notifier.ready("Listening on\nhttp://127.0.0.1:8080")
        assert notifier.heartbeat()
        assert notifier.reloading(12.5)
        assert notifier.stopping()
    assert [end.recv(4096) for _ in range(4)] == [
        b"READY=1\nSTATUS=Listening on http://127.0.0.1:8080",
        b"WATCHDOG=1",
        b"RELOADING=1\nMONOTONIC_USEC=12500000",
        b"STOPPING=1",
    ]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative"])
def test_without_a_service_manager_nothing_is_sent(address: str | None) -> None:
    with Notifier(address) as notifier:
        assert not notifier.ready()


def test_a_missing_service_manager_raises_no_error(tmp_path: Path) -> None:
    with Notifier(str(tmp_path / "gone")) as notifier:
        assert not notifier.ready()


def test_a_service_manager_that_does_not_read_does_not_block(manager: tuple[socket.socket, str]) -> None:
    _, address = manager
    with Notifier(address) as notifier:
        sent = [notifier.heartbeat() for _ in range(10_000)]
    assert sent[0]
    assert not sent[-1]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, None, id="not set"),
        pytest.param({"WATCHDOG_USEC": "30000000"}, 15.0, id="half of it"),
        pytest.param({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0, id="for us"),
        pytest.param({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None, id="for another process"),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="off"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="no number"),
    ],
)
def test_a_heartbeat_is_sent_twice_per_watchdog_interval(environment: dict[str, str], expected: float | None) -> None:
    assert watchdog_interval(environment, 42) == expected


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="not set"),
        pytest.param({"LISTEN_FDS": "1"}, id="no process"),
        pytest.param({"LISTEN_FDS": "1", "LISTEN_PID": "43"}, id="for another process"),
        pytest.param({"LISTEN_FDS": "0", "LISTEN_PID": "42"}, id="none"),
    ],
)
def test_sockets_for_another_process_are_ignored(environment: dict[str, str]) -> None:
    assert inherited_sockets(environment, 42) == []


def test_an_inherited_socket_accepts_connections(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        environment = {"LISTEN_FDS": "1", "LISTEN_PID": "42", "LISTEN_FDNAMES": "http"}
        (taken,) = inherited_sockets(environment, 42, first=os.dup(server.fileno()))
        with taken.socket:
            assert taken.name == "http"
            assert taken.socket.getsockname() == server.getsockname()
            assert not taken.socket.getblocking()
            assert not taken.socket.get_inheritable()


def test_descriptors_begin_at_three_in_a_real_process() -> None:
    script = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
        "from downloadd.daemon.systemd import inherited_sockets;"
        "environment = {**os.environ, 'LISTEN_PID': str(os.getpid())};"
        "print([(each.name, each.socket.getsockname()[1]) for each in inherited_sockets(environment, os.getpid())])"
    )
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        # Above 4, so that neither is written over before it is moved.
        descriptors = [fcntl.fcntl(server.fileno(), fcntl.F_DUPFD_CLOEXEC, 10) for server in (one, two)]
        try:
            shown = subprocess.run(
                [sys.executable, "-Ic", script, *map(str, descriptors)],
                env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"},
                pass_fds=descriptors,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        assert shown.stdout == f"[('a', {one.getsockname()[1]}), ('', {two.getsockname()[1]})]\n"


@pytest.mark.parametrize("kind", ["file", "datagram", "not listening"])
def test_a_descriptor_that_does_not_listen_is_refused(tmp_path: Path, kind: str) -> None:
    match kind:
        case "file":
            descriptor = os.open(tmp_path / "file", os.O_CREAT)
        case "datagram":
            descriptor = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
        case _:
            descriptor = socket.socket().detach()
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "42"}
    try:
        with pytest.raises(StartupError, match="of the service manager") as caught:
            inherited_sockets(environment, 42, first=descriptor)
        assert caught.value.exit_status == 1
    finally:
        # Refused sockets are closed already.
        if kind == "file":
            os.close(descriptor)


def test_variables_for_this_process_are_removed_for_its_children() -> None:
    environment = {**dict.fromkeys(VARIABLES, "1"), "STATE_DIRECTORY": "/x"}
    clear_environment(environment)
    assert environment == {"STATE_DIRECTORY": "/x"}
    clear_environment(environment)
