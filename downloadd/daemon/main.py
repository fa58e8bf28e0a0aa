"""The daemon as a process: flags to configuration, configuration to app, app to exit status."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import click
import msgspec
import structlog
from prometheus_client import disable_created_metrics

from downloadd import __version__
from downloadd.app import App
from downloadd.clock import Clock, SystemClock
from downloadd.config import Config, Flags, load_config
from downloadd.daemon import systemd
from downloadd.daemon.address_file import remove_address, write_address
from downloadd.daemon.deadline import ExitDeadline
from downloadd.daemon.descriptors import fit_to_descriptors, max_clients, raise_descriptor_limit
from downloadd.daemon.first_user import describe_first_user, ensure_first_user, read_first_user
from downloadd.daemon.listeners import bind, bind_unix, listener_address, listener_url, unlink_unix
from downloadd.daemon.loop_lag import measure_loop_lag
from downloadd.daemon.signals import SignalRequest, Signals
from downloadd.daemon.tls import ServerTls
from downloadd.errors import DownloadError, StartupError
from downloadd.logs import LogFormat, LogLevel, LogWriter, configured_logging

STOP_SECONDS: Final = 9.5
"""From the signal to stop until the process is ended, orderly or not."""
EXIT_GRACE_SECONDS: Final = (0.3, 2.0)
"""At least and at most, for the last log lines and for threads that hang (in a name lookup, say) once all is stored."""
FINAL_LOG_SECONDS: Final = 0.2
GC_THRESHOLD: Final = 20_000
"""Objects made more than freed before the collector looks at the young ones."""

_EPILOG: Final = """
Examples:

\b
  Fetch whatever is asked for, into ./downloads, and print a token for curl:
    downloadd --allow-download

\b
  From two sources only, into /srv/files, heard by every machine:
    downloadd --allow-download --root /srv/files --host 0.0.0.0 \\
        --allow-domain example.com --allow-domain '*.example.org'

\b
  As a service, with everything in a file:
    downloadd --config /etc/downloadd/config.toml --log-format json

Each key of the file is also a variable, such as DOWNLOADD_SERVER__PORT=9000 or DOWNLOADD_DOWNLOADS__MAX_SIZE='4 GiB'.
Flags win over variables, variables over the file.

SIGTERM and SIGINT stop the daemon within 10 seconds and lose nothing; SIGHUP reloads users, domains, limits and hooks.
Exit status: 0 after a signal to stop, 2 for a mistake in the configuration, 1 for everything else.
"""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line and the environment say, kept for reloads."""

    file: Path | None
    flags: Flags
    environment: dict[str, str]
    log_format: LogFormat
    log_level: LogLevel


@click.command(context_settings={"max_content_width": 110}, epilog=_EPILOG)
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="Read this TOML file.")
@click.option("--allow-download", is_flag=True, help="Let users start downloads; without it they are refused.")
@click.option("--root", metavar="DIR", help="Put files below this directory; made when missing.  [default: downloads]")
@click.option("--host", metavar="H", help="Listen on this address or name.  [default: 127.0.0.1]")
@click.option("--port", metavar="N", type=int, help="Listen on this port; 0 picks a free one.  [default: 8080]")
@click.option(
    "--allow-domain",
    "allow_domains",
    metavar="D",
    multiple=True,
    help="Fetch from this host only, or from subdomains with '*.example.com'; repeatable, replaces the file's list.",
)
@click.option(
    "--state-dir",
    metavar="DIR",
    help="Keep records and the first token here.  [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/downloadd]",
)
@click.option(
    "--log-format",
    type=click.Choice([each.value for each in LogFormat]),
    default=LogFormat.CONSOLE.value,
    show_default=True,
    help="How lines on standard error look.",
)
@click.option(
    "--log-level",
    type=click.Choice([each.value for each in LogLevel], case_sensitive=False),
    default=LogLevel.INFO.value,
    show_default=True,
    help="The least important lines to write.",
)
@click.version_option(__version__, prog_name="downloadd", message="%(prog)s %(version)s")
def command(
    *,
    file: Path | None,
    allow_download: bool,
    root: str | None,
    host: str | None,
    port: int | None,
    allow_domains: tuple[str, ...],
    state_dir: str | None,
    log_format: str,
    log_level: str,
) -> None:
    """Run the download daemon: one HTTP request makes it fetch a remote file onto its own disk."""
    environment = dict(os.environ)
    systemd.clear_environment(os.environ)
    run(
        Settings(
            file=file,
            flags=Flags(
                allow_download=allow_download,
                root=root,
                host=host,
                port=port,
                allow_domains=allow_domains,
                state_dir=state_dir,
            ),
            environment=environment,
            log_format=LogFormat(log_format),
            log_level=LogLevel(log_level),
        )
    )


def main() -> None:
    """The console script: runs the command, and turns every foreseen failure into one clear line."""
    try:
        command.main(prog_name="downloadd", standalone_mode=False)
    except click.ClickException as error:
        _print_error(f"{error.format_message()} (see downloadd --help)")
        sys.exit(2)
    except StartupError as error:
        _print_error(error.message)
        sys.exit(error.exit_status)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)


def run(settings: Settings, clock: Clock | None = None) -> None:
    """Runs the daemon until a signal asks it to stop.

    Raises:
        StartupError: it cannot start.
    """
    config = load_config(file=settings.file, environment=settings.environment, flags=settings.flags)
    raise_descriptor_limit()
    _tune_interpreter()
    with ExitStack() as stack:
        tls = ServerTls.from_config(config.server.tls_cert, config.server.tls_key)
        sockets = _sockets(settings, config, stack)
        has_configured_users = bool(config.users)
        config, greeting = _with_users(config, settings, _public_url(sockets, tls) + config.server.base_path)
        pipe = stack.enter_context(configured_logging(format=settings.log_format, level=settings.log_level))
        notifier = stack.enter_context(systemd.Notifier(settings.environment.get("NOTIFY_SOCKET")))
        daemon = Daemon(
            settings,
            config,
            has_configured_users=has_configured_users,
            greeting=greeting,
            sockets=sockets,
            tls=tls,
            pipe=pipe,
            notifier=notifier,
            clock=clock or SystemClock(),
        )
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(daemon.serve())
        except DownloadError as error:
            # The storage directory speaks in these, at start too.
            raise StartupError(error.detail) from error


class Daemon:
    """One life of the app: opened, announced, obedient to signals, closed in time."""

    def __init__(
        self,
        settings: Settings,
        config: Config,
        *,
        has_configured_users: bool,
        greeting: str | None,
        sockets: Sequence[socket.socket],
        tls: ServerTls | None,
        pipe: LogWriter,
        notifier: systemd.Notifier,
        clock: Clock,
    ) -> None:
        """`config` has at least one user, whom the file itself names if `has_configured_users`; `sockets` are bound.

        `greeting` is printed once the daemon is heard.
        """
        self._settings = settings
        self._config = config
        self._has_configured_users = has_configured_users
        self._greeting = greeting
        self._sockets = sockets
        self._tls = tls
        self._notifier = notifier
        self._clock = clock
        self._stop_by = 0.0
        self._deadline = ExitDeadline(lambda: pipe.close(FINAL_LOG_SECONDS))
        self._log = structlog.get_logger("downloadd.daemon")

    async def serve(self) -> None:
        """Serves until a signal asks to stop; afterwards everything is written down.

        Raises:
            StartupError: a part of the app cannot be opened.
        """
        with Signals(on_stop=self._start_shutdown, on_repeated_stop=self._force_exit) as signals:
            async with App(
                fit_to_descriptors(self._config),
                clock=self._clock,
                environment=self._settings.environment,
                max_clients=max_clients(),
            ) as app:
                await app.listen(self._sockets, None if self._tls is None else self._tls.context)
                # What is there now stays until the end: the collector need never look at it.
                gc.freeze()
                self._announce()
                async with asyncio.TaskGroup() as tasks:
                    running = (
                        tasks.create_task(self._send_heartbeats()),
                        tasks.create_task(measure_loop_lag(app.metrics.process.loop_lagged, self._clock)),
                    )
                    while await signals.next_request() is SignalRequest.RELOAD:
                        await self._reload(app)
                    for task in running:
                        task.cancel()
            remove_address(Path(self._config.server.state_dir))
            self._log.info("stopped")
            minimum, maximum = EXIT_GRACE_SECONDS
            self._deadline.set(min(maximum, max(minimum, self._stop_by - self._clock.monotonic())), 0)

    def _announce(self) -> None:
        urls = [listener_url(listener, tls=self._tls is not None) for listener in self._sockets]
        for listener, url in zip(self._sockets, urls, strict=True):
            host, port = listener_address(listener)
            self._log.info("listening", host=host, port=port, url=url, version=__version__)
        self._write_address(urls)
        _print_greeting(self._greeting)
        self._notifier.ready(f"Listening on {', '.join(urls)}")

    def _write_address(self, urls: Sequence[str]) -> None:
        config = self._config.server
        url = next((f"{url}{config.base_path}" for url in urls if not url.startswith("unix:")), urls[0])
        try:
            write_address(Path(config.state_dir), url)
        except OSError as error:
            self._log.warning("address_file_not_written", reason=str(error))

    async def _send_heartbeats(self) -> None:
        """Signs of life from inside the loop: a loop that hangs is restarted."""
        interval = systemd.watchdog_interval(self._settings.environment, os.getpid())
        while interval is not None:
            self._notifier.heartbeat()
            await asyncio.sleep(interval)

    async def _reload(self, app: App) -> None:
        self._notifier.reloading(self._clock.monotonic())
        try:
            config = await asyncio.to_thread(self._reload_config)
        except StartupError as error:
            self._log.error("reload_refused", mistakes=error.message.splitlines())
        else:
            app.reload(fit_to_descriptors(config))
            unapplied = [
                name
                for name in ("server", "storage", "imports")
                if getattr(config, name) != getattr(self._config, name)
            ]
            if unapplied:
                self._log.warning("restart_needed", changed=unapplied)
            self._log.info("reloaded", users=len(config.users))
        self._notifier.ready()

    def _reload_config(self) -> Config:
        settings = self._settings
        config = load_config(file=settings.file, environment=settings.environment, flags=settings.flags)
        has_configured_users = bool(config.users)
        if not has_configured_users:
            if self._has_configured_users:
                # A file that is being written is empty for a moment.
                raise StartupError(
                    "the configuration names no users any more, so nothing of it was taken over; "
                    "restart the daemon if it is meant to have a first user instead"
                )
            # The one that runs already: nobody looks for a new one in the middle of a life.
            first = read_first_user(Path(self._config.server.state_dir))
            config = msgspec.structs.replace(config, users=(first.user,))
        if self._tls is not None and config.server.tls_cert:
            self._tls.reload(config.server.tls_cert, config.server.tls_key)
        self._has_configured_users = has_configured_users
        return config

    def _start_shutdown(self, number: signal.Signals) -> None:
        self._stop_by = self._clock.monotonic() + STOP_SECONDS
        self._deadline.set(STOP_SECONDS, 1)
        self._log.info("stopping", signal=number.name)
        self._notifier.stopping("Stopping")

    def _force_exit(self, number: signal.Signals) -> None:
        self._log.warning("exit_forced", signal=number.name)
        self._deadline.exit_now(128 + number)


def _sockets(settings: Settings, config: Config, stack: ExitStack) -> list[socket.socket]:
    """The service manager's sockets, if it hands any over, else our own; closed with the stack."""
    sockets = [each.socket for each in systemd.inherited_sockets(settings.environment, os.getpid())]
    if not sockets:
        sockets = bind(config.server.host, config.server.port)
        path = config.server.unix_socket
        if path:
            listener, name = bind_unix(path)
            sockets.append(listener)
            stack.callback(unlink_unix, name)
    for listener in sockets:
        stack.callback(listener.close)
    return sockets


def _public_url(sockets: Sequence[socket.socket], tls: ServerTls | None) -> str:
    """The URL that the first user is told."""
    urls = [listener_url(listener, tls=tls is not None) for listener in sockets if listener.family != socket.AF_UNIX]
    return urls[0] if urls else "http://localhost"


def _with_users(config: Config, settings: Settings, url: str) -> tuple[Config, str | None]:
    """The configuration, with the first user when it names none, and what is to be said of one that was just made."""
    if config.users:
        return config, None
    first = ensure_first_user(Path(config.server.state_dir))
    greeting = describe_first_user(
        first,
        url=url,
        allow=config.downloads.allow,
        # Whoever may read the journal of systemd need not be allowed everything.
        show_token="JOURNAL_STREAM" not in settings.environment,
    )
    return msgspec.structs.replace(config, users=(first.user,)), greeting if first.created else None


def _print_greeting(greeting: str | None) -> None:
    if greeting is not None:
        # Whoever cannot be told finds the token in its file.
        with suppress(OSError):
            click.echo(greeting)


def _tune_interpreter() -> None:
    """Lets threads take turns often, and the garbage collector look seldom: a quarter of an accept's time was its."""
    # The time at which each counter was made is twice the lines, and nobody asks for it.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    # The records' thread needs the interpreter for a moment between two system calls.
    sys.setswitchinterval(0.0005)
    gc.set_threshold(GC_THRESHOLD, 20, 20)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _print_error(sentence: str) -> None:
    with suppress(OSError):
        for line in sentence.splitlines():
            click.echo(f"downloadd: {line}", err=True)
