"""The installed daemon as a process, as a shell and a service manager see it."""

import hashlib
import http.client
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.program_forks import ForkedProgram, fork_server
from support.stopwatch import Stopwatch
from support.waiting import CONDITION_TIMEOUT, wait_until_true

from downloadd import __version__
from downloadd.accounts.user_file import write_users
from downloadd.config import UserConfig
from downloadd.daemon.main import command

pytestmark = pytest.mark.system

TOKEN = "a-token-for-tests-0123456789-abcdefghij"
HASH = f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
USER = f'[[users]]\nid = "alice"\ntoken_hash = "{HASH}"\n'
PROGRAM = (sys.executable, "-Im", "downloadd")
LOCAL = '[downloads]\nenabled = true\nallowed_networks = ["127.0.0.0/8"]\n'


class Running:
    """A daemon on a folder of its own."""

    def __init__(self, process: subprocess.Popen[bytes] | ForkedProgram, folder: Path) -> None:
        self.process = process
        self.folder = folder

    def log(self) -> list[dict[str, Any]]:
        lines = (self.folder / "log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait for the `count`th line of an event, and return it."""

        def found() -> list[dict[str, Any]]:
            entries = [entry for entry in self.log() if entry["event"] == name]
            assert entries or self.process.poll() is None, (self.folder / "log").read_text()
            return entries[count - 1 :]

        return dict(wait_until_true(found)[0])

    @property
    def port(self) -> int:
        return int(self.event("listening")["port"])

    def get(self, path: str, token: str | None = None) -> int:
        """Return the status of a response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CONDITION_TIMEOUT)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            return connection.getresponse().status
        finally:
            connection.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(40)


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("DOWNLOADD_")}
    return {**ours, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), **(extra or {})}


def arguments(folder: Path, flags: Sequence[str]) -> list[str]:
    return ["--config", str(folder / "config.toml"), "--root", str(folder / "files"), *flags]


@contextmanager
def running(
    folder: Path,
    config: str = USER,
    *,
    flags: Sequence[str] = ("--port", "0"),
    extra: Mapping[str, str] | None = None,
    stderr: int | None = None,
    may_fork: bool = True,
    **options: Any,
) -> Iterator[Running]:
    """Run a daemon; `options` are those of a process that is not forked."""
    (folder / "config.toml").write_text(config)
    flags = arguments(folder, ["--log-format", "json", *flags])
    process: subprocess.Popen[bytes] | ForkedProgram
    with (folder / "log").open("wb") as log, (folder / "out").open("ab") as out:
        errors = log.fileno() if stderr is None else stderr
        if may_fork:
            process = fork_server("downloadd").start(
                flags, environment=environment(folder, extra), stderr=errors, stdout=out.fileno(), folder=folder
            )
        else:
            process = subprocess.Popen(
                [*PROGRAM, *flags],
                cwd=folder,
                env=environment(folder, extra),
                stdout=out,
                stderr=errors,
                **options,
            )
    try:
        yield Running(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(CONDITION_TIMEOUT)


def test_a_signal_to_reload_during_the_imports_does_not_end_the_daemon(tmp_path: Path) -> None:
    with running(tmp_path, may_fork=False) as daemon:
        ignored = 0
        while not ignored & 1 << (signal.SIGHUP - 1):
            status = Path(f"/proc/{daemon.process.pid}/status").read_text()
            ignored = int(re.search(r"SigIgn:\s*([0-9a-f]+)", status)[1], 16)  # type: ignore[index]
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.port


def test_the_journal_does_not_get_the_first_token(tmp_path: Path) -> None:
    with running(tmp_path, "", extra={"JOURNAL_STREAM": "8:12345"}) as daemon:
        assert daemon.port
        token = (tmp_path / "state" / "downloadd" / "token").read_text().strip()
        assert token
        assert token not in (tmp_path / "out").read_text() + (tmp_path / "log").read_text()


def test_an_aria2_conf_is_read_and_reported_without_its_secret(tmp_path: Path) -> None:
    conf = tmp_path / "aria2.conf"
    conf.write_text(f"max-concurrent-downloads=3\nrpc-secret={TOKEN}\nbt-tracker=udp://x\n")
    flags = ("--port", "0", "--aria2-conf", str(conf))
    with running(tmp_path, "", flags=flags) as daemon:
        assert daemon.get("/api/v1/downloads", TOKEN) == 200
        applied, ignored = daemon.event("aria2_option_applied"), daemon.event("aria2_option_ignored")
        assert (applied["line"], applied["setting"], applied["value"]) == (1, "downloads.max_concurrent", "3")
        assert (ignored["option"], ignored["reason"]) == ("bt-tracker", "BitTorrent is not supported")
        conf.write_text(f"max-concurrent-downloads=4\nrpc-secret={TOKEN}\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("reloaded")
        assert daemon.event("aria2_option_applied", 3)["value"] == "4"
        assert TOKEN not in (tmp_path / "log").read_text() + (tmp_path / "out").read_text()
    with running(tmp_path, "", flags=(*flags, "--log-format", "console")):
        table = wait_until_true(lambda: re.findall(r"^  1  max-conc.*$", (tmp_path / "out").read_text(), re.MULTILINE))
        assert table == ["  1  max-concurrent-downloads  downloads.max_concurrent = 4"]
        wait_until_true(lambda: "--allow-download" in (tmp_path / "out").read_text())


def startup_errors(
    folder: Path, flags: Sequence[str], *, status: int, config: str = USER, extra: Mapping[str, str] | None = None
) -> list[str]:
    """Return the lines that a daemon prints if it cannot start, without the prefix `downloadd: `."""
    (folder / "config.toml").write_text(config)
    with (folder / "errors").open("w+") as errors:
        process = fork_server("downloadd").start(
            arguments(folder, flags), environment=environment(folder, extra), stderr=errors.fileno(), folder=folder
        )
        result = process.wait(CONDITION_TIMEOUT)
        errors.seek(0)
        printed = errors.read()
    assert result == status, printed
    lines = printed.splitlines()
    assert lines
    assert all(line.startswith("downloadd: ") for line in lines), printed
    return [line.removeprefix("downloadd: ") for line in lines]


# -- the command line --------------------------------------------------------------------------------------------------


def test_the_help_names_every_flag_and_shows_examples() -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    for flag in (
        "--config FILE",
        "--aria2-conf FILE",
        "--allow-download",
        "--root DIR",
        "--host H",
        "--port N",
        "--allow-domain D",
        "--state-dir DIR",
        "--log-format [console|json]",
        "--log-level",
        "--version",
        "Examples:",
        "downloadd --allow-download --root /srv/files",
    ):
        assert flag in shown


def test_the_start_imports_no_library_that_the_daemon_does_not_need() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "downloadd", "--version"]
    imported = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    assert "structlog" in imported
    for library in ("rich", "python_socks", "publicsuffixlist", "swagger_ui"):
        # An import that is prevented is listed, without the modules below.
        assert f" {library}." not in imported, library


def test_the_version_is_that_of_the_package() -> None:
    done = subprocess.run([sys.executable, "-Im", "downloadd", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"downloadd {__version__}\n"


@pytest.mark.parametrize(
    ("flags", "config", "extra", "expected"),
    [
        pytest.param(["--prot", "1"], USER, {}, ["--prot"], id="unknown flag"),
        pytest.param(["--port", "x"], USER, {}, ["'x' is not a valid integer"], id="no integer"),
        pytest.param(["--port", "65536"], USER, {}, ["--port: server.port: expected an integer"], id="port range"),
        pytest.param(["--log-level", "loud"], USER, {}, ["'loud' is not one of"], id="log level"),
        pytest.param(["extra"], USER, {}, ["No such command 'extra'"], id="argument"),
        pytest.param(["--allow-domain", "*"], USER, {}, ["--allow-domain: downloads.allowed_domains"], id="domain"),
        pytest.param([], "[server\n", {}, ["config.toml:1:8: is not TOML"], id="broken TOML"),
        pytest.param(["--aria2-conf", "/none"], USER, {}, ["/none: cannot be read: No such file"], id="no aria2.conf"),
        pytest.param(
            [],
            "[server]\nprot = 1\n[downloads]\ntimeout = -1\n",
            {"DOWNLOADD_STORAGE__FSYNC": "perhaps"},
            ["server.prot: unknown key; did you mean server.port?", "downloads.timeout", "DOWNLOADD_STORAGE__FSYNC"],
            id="several",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_a_line_and_status_2(
    tmp_path: Path, flags: list[str], config: str, extra: dict[str, str], expected: list[str]
) -> None:
    found = startup_errors(tmp_path, flags, status=2, config=config, extra=extra)
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line
    assert not (tmp_path / "state").exists()


def test_a_port_in_use_is_a_line_and_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (line,) = startup_errors(tmp_path, ["--port", str(taken.getsockname()[1])], status=1)
    assert line.endswith("the port is in use; stop the other program or choose another --port")


def test_a_state_directory_that_cannot_be_used_is_a_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for config in (USER, ""):
        (line,) = startup_errors(
            tmp_path, ["--port", "0", "--state-dir", str(tmp_path / "file")], status=1, config=config
        )
        assert str(tmp_path / "file") in line


def test_a_storage_root_that_cannot_be_used_is_a_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "files").touch()
    (line,) = startup_errors(tmp_path, ["--port", "0"], status=1)
    assert str(tmp_path / "files") in line


def test_a_second_daemon_on_the_same_state_directory_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert daemon.port
        (line,) = startup_errors(tmp_path, ["--port", "0"], status=1)
        assert "another downloadd" in line
        assert daemon.stop() == 0


def test_a_second_daemon_on_the_same_storage_root_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert daemon.port
        (line,) = startup_errors(tmp_path, ["--port", "0", "--state-dir", str(tmp_path / "other")], status=1)
        assert "in use by another downloadd" in line
        assert daemon.stop() == 0


# -- start and stop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as daemon:
        listening = daemon.event("listening")
        assert listening["host"] == "127.0.0.1"
        assert listening["url"] == f"http://127.0.0.1:{listening['port']}"
        assert daemon.get("/api/v1/health") == 200
        watch = Stopwatch(daemon.process.pid)
        assert daemon.stop(number) == 0
        assert watch.seconds < 10
        assert [entry["event"] for entry in daemon.log()][-2:] == ["stopping", "stopped"]


def test_the_first_start_prints_a_token_that_works_and_later_starts_are_silent(tmp_path: Path) -> None:
    with running(tmp_path, "") as daemon:
        port = daemon.port
        file = tmp_path / "state" / "downloadd" / "token"
        token = file.read_text().strip()
        printed = (tmp_path / "out").read_text()
        assert token in printed
        assert f"http://127.0.0.1:{port}/" in printed
        assert daemon.get("/api/v1/downloads", token) == 200
        assert daemon.get("/api/v1/downloads") == 401
        assert daemon.stop() == 0
    assert token not in (tmp_path / "log").read_text()
    with running(tmp_path, "") as daemon:
        assert daemon.get("/api/v1/downloads", token) == 200
        assert daemon.stop() == 0
    assert (tmp_path / "out").read_text() == printed


@pytest.fixture
def silent_origin() -> Iterator[socket.socket]:
    """Yield a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@contextmanager
def waiting_request(daemon: Running, origin: socket.socket) -> Iterator[None]:
    """Send a request that waits for the end of a download that never ends."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=CONDITION_TIMEOUT)
    url = f"http://127.0.0.1:{origin.getsockname()[1]}/file"
    connection.request("GET", f"/?download={url}&wait=60", headers={"Authorization": f"Bearer {TOKEN}"})
    assert select.select([origin], [], [], 20)[0]
    try:
        yield
    finally:
        connection.close()


def test_a_running_download_does_not_delay_the_end(tmp_path: Path, silent_origin: socket.socket) -> None:
    with running(tmp_path, LOCAL + USER) as daemon, waiting_request(daemon, silent_origin):
        watch = Stopwatch(daemon.process.pid)
        assert daemon.stop() == 0
        assert watch.seconds < 10


def test_a_second_signal_ends_the_daemon_at_once(tmp_path: Path) -> None:
    with running(tmp_path, LOCAL + USER) as daemon, socket.create_connection(("127.0.0.1", daemon.port), 10) as client:
        # A request whose body never comes is given some time to end.
        head = (
            f"POST /api/v1/downloads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nExpect: 100-continue\r\n"
        )
        client.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.event("stopping")
        assert daemon.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        assert daemon.log()[-1]["event"] == "exit_forced"


def test_the_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    with running(tmp_path, may_fork=False, preexec_fn=lower) as daemon:
        assert daemon.port
        assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
        assert daemon.stop() == 0


def test_a_standard_error_that_is_not_read_blocks_no_request(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        with running(tmp_path, stderr=writer) as daemon:
            line = b""
            while b"\n" not in line:
                line += os.read(reader, 4096)
            port = json.loads(line.splitlines()[0])["port"]
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=CONDITION_TIMEOUT)) as connection:
                for _ in range(1000):
                    connection.request("GET", "/api/v1/downloads", headers={"Authorization": f"Bearer {TOKEN}"})
                    response = connection.getresponse()
                    response.read()
                    assert response.status == 200
            watch = Stopwatch(daemon.process.pid)
            assert daemon.stop() == 0
            assert watch.seconds < 10
    finally:
        os.close(reader)
        os.close(writer)


def test_a_malformed_request_leaves_none_of_its_bytes_in_the_log(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        for garbage in (
            f"GET / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nBad\x00Name: x\r\n\r\n",
            f"GET /?token={TOKEN} HTTP/9\r\n\r\n",
            f"{TOKEN} \x00\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {TOKEN}\r\nContent-Length: {TOKEN}\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", daemon.port), 10) as client:
                client.sendall(garbage.encode("latin-1"))
                assert b" 400 " in client.recv(4096)
        assert daemon.stop() == 0
    assert TOKEN not in (tmp_path / "log").read_text()


# -- the service manager -----------------------------------------------------------------------------------------------


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(CONDITION_TIMEOUT)
        yield end


def receive_until(end: socket.socket, wanted: bytes) -> list[bytes]:
    """Return the messages up to the first one that begins with `wanted`."""
    messages = [end.recv(4096)]
    while not messages[-1].startswith(wanted):
        messages.append(end.recv(4096))
    return messages


def test_the_service_manager_is_notified_of_ready_reloading_and_stopping(
    tmp_path: Path, manager: socket.socket
) -> None:
    with running(tmp_path, extra={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
        (ready,) = receive_until(manager, b"READY=1")
        # Ready means that a request is answered now.
        assert daemon.get("/api/v1/health") == 200
        assert f"STATUS=Listening on http://127.0.0.1:{daemon.port}".encode() in ready
        daemon.process.send_signal(signal.SIGHUP)
        (reloading,) = receive_until(manager, b"RELOADING=1\nMONOTONIC_USEC=")
        assert abs(int(reloading.partition(b"USEC=")[2]) / 1e6 - time.monotonic()) < 20
        assert receive_until(manager, b"READY=1") == [b"READY=1"]
        assert daemon.stop() == 0
        assert receive_until(manager, b"STOPPING=1")


def test_the_watchdog_gets_heartbeats(tmp_path: Path, manager: socket.socket) -> None:
    extra = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    with running(tmp_path, extra=extra) as daemon:
        receive_until(manager, b"READY=1")
        assert [manager.recv(4096) for _ in range(4)] == [b"WATCHDOG=1"] * 4
        # A daemon that hangs is not alive.
        daemon.process.send_signal(signal.SIGSTOP)
        wait_until_true(lambda: not select.select([manager], [], [], 1)[0] or (manager.recv(4096) and False))
        daemon.process.send_signal(signal.SIGCONT)
        assert manager.recv(4096) == b"WATCHDOG=1"
        assert daemon.stop() == 0


def test_an_inherited_socket_replaces_host_and_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # As the service manager does: the socket is descriptor 3, and LISTEN_PID the process itself.
        hand_over = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        (tmp_path / "config.toml").write_text(USER)
        flags = ["--log-format", "json", "--port", "1"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-Ic", hand_over, str(server.fileno()), *PROGRAM, *arguments(tmp_path, flags)],
                env=environment(tmp_path, {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}),
                stderr=log,
                pass_fds=[server.fileno()],
            )
        daemon = Running(process, tmp_path)
        try:
            assert daemon.port == port
            assert daemon.get("/api/v1/health") == 200
            assert daemon.stop() == 0
            # The service manager's own socket lives on, and connections wait in it.
            socket.create_connection(("127.0.0.1", port), 10).close()
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(CONDITION_TIMEOUT)


def test_a_reload_applies_new_users_and_refuses_a_malformed_file(tmp_path: Path) -> None:
    other = "another-token-for-tests-0123456789-abcdef"
    bob = f'[[users]]\nid = "bob"\ntoken_hash = "sha256:{hashlib.sha256(other.encode()).hexdigest()}"\n'
    with running(tmp_path) as daemon:
        assert daemon.get("/api/v1/downloads", other) == 401
        (tmp_path / "config.toml").write_text("[server]\nprot = 1\n" + bob)
        daemon.process.send_signal(signal.SIGHUP)
        assert "server.prot: unknown key; did you mean server.port?" in daemon.event("reload_refused")["mistakes"][0]
        assert daemon.get("/api/v1/downloads", TOKEN) == 200
        (tmp_path / "config.toml").write_text("[storage]\nfsync = false\n[cluster]\nlease = 20\n" + bob)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("reloaded")
        assert daemon.event("restart_needed")["changed"] == ["cluster", "storage"]
        assert daemon.get("/api/v1/downloads", other) == 200
        assert daemon.get("/api/v1/downloads", TOKEN) == 401
        assert daemon.stop() == 0


def test_users_of_the_state_directory_are_accepted_and_refused_without_a_reload(tmp_path: Path) -> None:
    other = "another-token-for-tests-0123456789-abcdef"
    token_hash = f"sha256:{hashlib.sha256(other.encode()).hexdigest()}"
    with running(tmp_path) as daemon:
        assert daemon.port
        state = tmp_path / "state" / "downloadd"
        write_users(state, [UserConfig(id="bob", token_hash=token_hash)])
        daemon.event("users_changed")
        assert [daemon.get("/api/v1/downloads", token) for token in (TOKEN, other)] == [200, 200]
        # A mistake in the configuration keeps no token.
        (tmp_path / "config.toml").write_text("[server]\nprot = 1\n")
        write_users(state, [])
        daemon.event("users_changed", 2)
        assert [daemon.get("/api/v1/downloads", token) for token in (TOKEN, other)] == [200, 401]
        assert daemon.stop() == 0


@pytest.mark.parametrize("emptied", ["", "# nothing yet\n", LOCAL], ids=["empty", "comment", "half-written"])
def test_a_reload_of_a_file_without_its_users_changes_nothing(tmp_path: Path, emptied: str) -> None:
    state = str(tmp_path / "elsewhere")
    with running(tmp_path, f'[server]\nstate_dir = "{state}"\n{USER}') as daemon:
        assert daemon.get("/api/v1/downloads", TOKEN) == 200
        (tmp_path / "config.toml").write_text(emptied)
        daemon.process.send_signal(signal.SIGHUP)
        (mistake,) = daemon.event("reload_refused")["mistakes"]
        assert "no longer names users" in mistake
        assert daemon.get("/api/v1/downloads", TOKEN) == 200
        # Nobody was allowed to download, and nobody is.
        assert daemon.get("/d?download=http://127.0.0.1/", TOKEN) == 403
        assert daemon.stop() == 0
    assert (tmp_path / "out").read_text() == ""
    assert not list(tmp_path.rglob("token"))


def test_a_reload_keeps_the_first_user_and_creates_no_other(tmp_path: Path) -> None:
    elsewhere = f'[server]\nstate_dir = "{tmp_path / "elsewhere"}"\n'
    with running(tmp_path, "") as daemon:
        assert daemon.port
        file = tmp_path / "state" / "downloadd" / "token"
        token = file.read_text().strip()
        printed = (tmp_path / "out").read_text()
        (tmp_path / "config.toml").write_text(elsewhere)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("reloaded")
        assert daemon.get("/api/v1/downloads", token) == 200
        file.unlink()
        assert daemon.event("users_changed")["source"] == "token"
        assert daemon.get("/api/v1/downloads", token) == 401
        # From the file that names users, there is no way back to the first one but a restart.
        (tmp_path / "config.toml").write_text(USER)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("reloaded", 2)
        (tmp_path / "config.toml").write_text("")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("reload_refused")
        assert daemon.get("/api/v1/downloads", TOKEN) == 200
        assert daemon.stop() == 0
    assert (tmp_path / "out").read_text() == printed
    assert [each.name for each in tmp_path.rglob("token")] == []


def test_former_names_are_logged_at_the_start_and_at_each_reload(tmp_path: Path) -> None:
    detail = "downloads.allow is now downloads.enabled; the old name works in this version"
    with running(tmp_path, f"[downloads]\nallow = true\n{USER}") as daemon:
        started = daemon.event("setting_renamed")
        assert (started["level"], started["detail"]) == ("warning", detail)
        assert started["source"] == str(tmp_path / "config.toml")
        (tmp_path / "config.toml").write_text(f"[downloads]\nretries = 1\nallow = true\n{USER}")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.event("reloaded")
        assert [each["detail"].split()[0] for each in daemon.log() if each["event"] == "setting_renamed"] == [
            "downloads.allow",
            "downloads.retries",
            "downloads.allow",
        ]
        assert daemon.stop() == 0
