"""The running daemon: start, serve, reload on SIGHUP, stop within its deadline."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

import click
import msgspec
import structlog

from downloadd import __version__
from downloadd.accounts.first_user import (
    DOWNLOADS_REFUSED,
    describe_first_user,
    ensure_first_user,
)
from downloadd.accounts.user_file import read_users
from downloadd.app import App
from downloadd.clock import Clock, SystemClock
from downloadd.config import (
    Config,
    Flags,
    LoadedConfig,
    OptionOutcome,
    RenamedSetting,
    format_outcomes,
)
from downloadd.daemon import systemd
from downloadd.daemon.address_file import remove_address, write_address
from downloadd.daemon.configuration import read_config
from downloadd.daemon.deadline import ExitDeadline
from downloadd.daemon.descriptors import fit_to_descriptors, max_clients, max_runs, raise_descriptor_limit
from downloadd.daemon.interpreter import event_loop_factory, tune_interpreter
from downloadd.daemon.listeners import bind_all, bind_aria2, listener_address, listener_url, remote_url
from downloadd.daemon.loop_lag import measure_loop_lag
from downloadd.daemon.signals import SignalRequest, Signals
from downloadd.daemon.tls import ServerTls
from downloadd.errors import DownloadError, StartupError
from downloadd.logs import LogFormat, LogLevel, LogWriter, configured_logging

STOP_SECONDS: Final = 9.5
"""Seconds from the first signal to stop until the process ends in any case."""
MIN_EXIT_GRACE_SECONDS: Final = 0.3
"""Seconds for the last log lines, at least, once everything is stored."""
MAX_EXIT_GRACE_SECONDS: Final = 2.0
"""Seconds for threads that hang, in a name lookup for instance, at most, once everything is stored."""
FINAL_LOG_SECONDS: Final = 0.2
"""Seconds for the last log lines when the process is ended in any case."""
RESTART_TABLES: Final = ("server", "cluster", "storage", "imports", "aria2")
"""Tables whose changes need a restart."""


class ProcessOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options from the command line and the environment, kept for reloads."""

    file: Path | None
    aria2_conf: Path | None = None
    flags: Flags
    environment: dict[str, str]
    log_format: LogFormat
    log_level: LogLevel

    def read_config(self) -> LoadedConfig:
        """Return the configuration. Blocks.

        Raises:
            ConfigError: it has mistakes; says all of them.
        """
        return read_config(file=self.file, environment=self.environment, flags=self.flags, aria2_conf=self.aria2_conf)


class StartState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is decided and bound before the event loop starts."""

    config: Config
    renamed: tuple[RenamedSetting, ...]
    aria2_options: tuple[OptionOutcome, ...]
    """Outcomes of the options of an `aria2.conf`."""
    greeting: str | None
    """Text that is printed once the daemon listens."""
    sockets: tuple[socket.socket, ...]
    rpc_sockets: tuple[socket.socket, ...]
    """Those of `aria2.port`."""
    remove_socket_names: Callable[[], None]
    """Removes the name of the daemon's Unix socket, once. Blocks."""
    tls: ServerTls | None


def run(options: ProcessOptions, clock: Clock | None = None) -> None:
    """Run the daemon until a signal stops it.

    Raises:
        StartupError: it cannot start.
    """
    loaded = options.read_config()
    raise_descriptor_limit()
    tune_interpreter()
    with ExitStack() as stack:
        start = prepare_start(options, loaded, stack)
        log_writer = stack.enter_context(configured_logging(format=options.log_format, level=options.log_level))
        notifier = stack.enter_context(systemd.Notifier(options.environment.get("NOTIFY_SOCKET")))
        daemon = Daemon(options, start, log_writer=log_writer, notifier=notifier, clock=clock or SystemClock())
        try:
            with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
                runner.run(daemon.serve())
        except DownloadError as error:
            # The storage root raises these, also when it is opened.
            raise StartupError(error.detail) from error


def prepare_start(options: ProcessOptions, loaded: LoadedConfig, stack: ExitStack) -> StartState:
    """Bind the sockets, read the certificate, and create the first user if there is no other. Blocks.

    Raises:
        StartupError: a socket, the certificate or the token file cannot be used.
    """
    config = loaded.config
    tls = ServerTls.from_config(config.server)
    socket_names = stack.enter_context(ExitStack())
    sockets = _open_sockets(options, config, stack, socket_names)
    greeting = None
    if _needs_first_user(config):
        first = ensure_first_user(Path(config.server.state_dir))
        if first.created:
            greeting = describe_first_user(
                first,
                url=_public_url(sockets, tls) + config.server.base_path,
                root=config.storage.root,
                enabled=config.downloads.enabled,
                # A reader of systemd's journal need not have all permissions.
                show_token="JOURNAL_STREAM" not in options.environment,
            )
    return StartState(
        config=config,
        renamed=loaded.renamed,
        aria2_options=loaded.aria2_options,
        greeting=greeting,
        sockets=sockets,
        rpc_sockets=bind_aria2(config, stack),
        remove_socket_names=socket_names.close,
        tls=tls,
    )


def _needs_first_user(config: Config) -> bool:
    """Return True if there is no other user. Blocks.

    Raises:
        StartupError: the file of the users cannot be used.
    """
    # Several nodes have users in their records.
    return not (config.users or config.cluster.database or read_users(Path(config.server.state_dir)))


def _open_sockets(
    options: ProcessOptions, config: Config, stack: ExitStack, socket_names: ExitStack
) -> tuple[socket.socket, ...]:
    """Return the sockets of the service manager, or else the daemon's own.

    `stack` closes them; `socket_names` removes the names of the daemon's own.
    """
    inherited = tuple([each.socket for each in systemd.inherited_sockets(options.environment, os.getpid())])
    sockets = inherited or bind_all(config.server, socket_names)
    for listener in sockets:
        stack.callback(listener.close)
    return sockets


def _public_url(sockets: Sequence[socket.socket], tls: ServerTls | None) -> str:
    """Return the URL in the greeting."""
    urls = [listener_url(listener, tls=tls is not None) for listener in sockets if listener.family != socket.AF_UNIX]
    return urls[0] if urls else "http://localhost"


class Daemon:
    """The app in its process: announces it, applies signals, and ends the process in time."""

    def __init__(
        self,
        options: ProcessOptions,
        start: StartState,
        *,
        log_writer: LogWriter,
        notifier: systemd.Notifier,
        clock: Clock,
    ) -> None:
        self._log = structlog.get_logger("downloadd.daemon")
        self._options = options
        self._start = start
        self._has_configured_users = bool(start.config.users)
        self._notifier = notifier
        self._clock = clock
        self._stop_by = 0.0
        self._deadline = ExitDeadline(lambda: log_writer.close(FINAL_LOG_SECONDS))

    async def serve(self) -> None:
        """Serve until a signal stops the daemon; then everything is stored.

        Raises:
            StartupError: a component of the app cannot be opened.
        """
        with Signals(on_stop=self._start_shutdown, on_repeated_stop=self._force_exit) as signals:
            async with App(
                fit_to_descriptors(self._start.config),
                clock=self._clock,
                environment=self._options.environment,
                max_clients=max_clients(),
                max_runs=max_runs(),
                request_stop=partial(signal.raise_signal, signal.SIGTERM),
                url=self._remote_url(),
            ) as app:
                tls = self._start.tls
                await app.listen(
                    self._start.sockets,
                    rpc_sockets=self._start.rpc_sockets,
                    tls=None if tls is None else tls.context,
                )
                # Objects made so far stay until the end: the collector need not visit them.
                gc.freeze()
                self._announce()
                await self._handle_signals(app, signals)
            remove_address(Path(self._start.config.server.state_dir))
            # Before the deadline, which may end the process without leaving its blocks.
            self._start.remove_socket_names()
            self._log.info("stopped")
            remaining = self._stop_by - self._clock.monotonic()
            self._deadline.set(min(MAX_EXIT_GRACE_SECONDS, max(MIN_EXIT_GRACE_SECONDS, remaining)), 0)

    async def _handle_signals(self, app: App, signals: Signals) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = (
                tasks.create_task(self._send_heartbeats()),
                tasks.create_task(measure_loop_lag(app.metrics.process.loop_lagged, self._clock)),
            )
            while await signals.next_request() is SignalRequest.RELOAD:
                await self._reload(app)
            for task in running:
                task.cancel()

    def _remote_url(self) -> str:
        """Return the URL of the API for other machines; that of a Unix socket if there is no other."""
        urls = [remote_url(listener, tls=self._start.tls is not None) for listener in self._start.sockets]
        return _with_path(urls, self._start.config.server.base_path)

    def _announce(self) -> None:
        sockets = self._start.sockets
        urls = [listener_url(listener, tls=self._start.tls is not None) for listener in sockets]
        self._warn_of_renamed(self._start.renamed)
        self._report_aria2_options(self._start.aria2_options)
        for listener, url in zip(sockets, urls, strict=True):
            host, port = listener_address(listener)
            self._log.info("listening", host=host, port=port, url=url, version=__version__)
        for listener in self._start.rpc_sockets:
            url = f"{listener_url(listener, tls=self._start.tls is not None)}/jsonrpc"
            self._log.info("listening_for_aria2_clients", url=url)
        self._log.info("storage_root_opened", path=self._start.config.storage.root)
        self._write_address(urls)
        _print(self._start.greeting)
        self._notifier.ready(f"Listening on {', '.join(urls)}")

    def _warn_of_renamed(self, renamed: Sequence[RenamedSetting]) -> None:
        for each in renamed:
            self._log.warning("setting_renamed", source=each.source, detail=str(each))

    def _report_aria2_options(self, outcomes: Sequence[OptionOutcome]) -> None:
        """Report what became of the options of an `aria2.conf`: for people as a table, for programs as events."""
        file = self._options.aria2_conf
        if file is None:
            return
        if self._options.log_format is LogFormat.CONSOLE:
            _print(format_outcomes(file, outcomes))
            _print(None if self._start.config.downloads.enabled else f"{DOWNLOADS_REFUSED}\n")
            return
        for each in outcomes:
            place = {"file": str(file), "line": each.line, "option": each.option}
            if each.setting:
                self._log.info(
                    "aria2_option_applied", **place, setting=each.setting, value=each.value, detail=each.note
                )
            else:
                self._log.info("aria2_option_ignored", **place, reason=each.note)

    def _write_address(self, urls: Sequence[str]) -> None:
        config = self._start.config.server
        try:
            write_address(Path(config.state_dir), _with_path(urls, config.base_path))
        except OSError as error:
            self._log.warning("address_file_not_written", reason=str(error))

    async def _send_heartbeats(self) -> None:
        """Send heartbeats from inside the event loop, so that the service manager restarts a loop that hangs."""
        interval = systemd.watchdog_interval(self._options.environment, os.getpid())
        while interval is not None:
            self._notifier.heartbeat()
            await asyncio.sleep(interval)

    async def _reload(self, app: App) -> None:
        self._notifier.reloading(self._clock.monotonic())
        try:
            loaded = await asyncio.to_thread(self._reload_config)
            await app.reload(fit_to_descriptors(loaded.config))
        except StartupError as error:
            self._log.error("reload_refused", mistakes=error.message.splitlines())
        else:
            self._report_reload(loaded)
        self._notifier.ready()

    def _report_reload(self, loaded: LoadedConfig) -> None:
        self._warn_of_renamed(loaded.renamed)
        self._report_aria2_options(loaded.aria2_options)
        started = self._start.config
        changed = [name for name in RESTART_TABLES if getattr(loaded.config, name) != getattr(started, name)]
        if changed:
            self._log.warning("restart_needed", changed=changed)
        self._log.info("reloaded", users=len(loaded.config.users))

    def _reload_config(self) -> LoadedConfig:
        loaded = self._options.read_config()
        if self._has_configured_users and not loaded.config.users:
            # A file is empty for a moment while it is written.
            raise StartupError(
                "the configuration no longer names users, so none of it was applied; "
                "restart the daemon if it should have none"
            )
        if self._start.tls is not None and loaded.config.server.tls_cert:
            self._start.tls.reload(loaded.config.server)
        self._has_configured_users = bool(loaded.config.users)
        return loaded

    def _start_shutdown(self, number: signal.Signals) -> None:
        self._stop_by = self._clock.monotonic() + STOP_SECONDS
        self._deadline.set(STOP_SECONDS, 1)
        self._log.info("stopping", signal=number.name)
        self._notifier.stopping("Stopping")

    def _force_exit(self, number: signal.Signals) -> None:
        self._log.warning("exit_forced", signal=number.name)
        self._deadline.exit_now(128 + number)


def _with_path(urls: Sequence[str], base_path: str) -> str:
    """Return the first URL with the base path; that of a Unix socket if there is no other."""
    return next((f"{url}{base_path}" for url in urls if not url.startswith("unix:")), urls[0])


def _print(text: str | None) -> None:
    if text is not None:
        # Without a standard output, the token is still in its file.
        with suppress(OSError):
            click.echo(text)
