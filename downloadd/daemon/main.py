"""The command `downloadd`: command line and environment to the options of the process, failures to one line each."""

import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from downloadd import __version__
from downloadd.config import Flags
from downloadd.daemon import systemd
from downloadd.daemon.check import check
from downloadd.daemon.options import setting_option
from downloadd.daemon.process import ProcessOptions, run
from downloadd.daemon.records_copy import records_copy
from downloadd.errors import StartupError
from downloadd.logs import LogFormat, LogLevel

_USERINFO: Final = re.compile(r"://\S*@")
_EPILOG: Final = """
Examples:

\b
  Store files below ./downloads, and print a token for curl:
    downloadd --allow-download

\b
  From two sources only, below /srv/files, listening on all interfaces:
    downloadd --allow-download --root /srv/files --host 0.0.0.0 \\
        --allow-domain example.com --allow-domain '*.example.org'

\b
  As a service, with everything in a file:
    downloadd --config /etc/downloadd/config.toml --log-format json

\b
  In place of aria2c, with its configuration:
    downloadd --allow-download --aria2-conf ~/.aria2/aria2.conf

\b
  Test a configuration before it is used:
    downloadd --config /etc/downloadd/config.toml --check

\b
  Copy the records of a stopped daemon into a PostgreSQL database:
    downloadd --config /etc/downloadd/config.toml records-copy

Each key of the file is also a variable, such as DOWNLOADD_SERVER__PORT=9000 or DOWNLOADD_DOWNLOADS__MAX_SIZE='4 GiB'.
Flags override variables, variables override the file, the file overrides an aria2.conf.

SIGTERM and SIGINT stop the daemon within 10 seconds without loss; SIGHUP reloads users, domains, limits and hooks.
Exit status: 0 after a signal to stop, 2 for a mistake in the configuration, 1 for other failures.
"""


@click.group(
    invoke_without_command=True,
    subcommand_metavar="[records-copy]",
    context_settings={"max_content_width": 110},
    epilog=_EPILOG,
)
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="Read this TOML file.")
@click.option(
    "--aria2-conf",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read this aria2.conf too, and print what became of each option.",
)
@setting_option("--allow-download")
@setting_option("--root")
@setting_option("--host")
@setting_option("--port")
@setting_option("--allow-domain")
@setting_option("--state-dir")
@click.option(
    "--log-format",
    type=click.Choice([each.value for each in LogFormat]),
    default=LogFormat.CONSOLE.value,
    show_default=True,
    help="Format of the lines on standard error.",
)
@click.option(
    "--log-level",
    type=click.Choice([each.value for each in LogLevel], case_sensitive=False),
    default=LogLevel.INFO.value,
    show_default=True,
    help="Lowest level of the lines that are written.",
)
@click.option("--check", "is_check", is_flag=True, help="Test the configuration, and exit without starting.")
@click.version_option(__version__, prog_name="downloadd", message="%(prog)s %(version)s")
def command(
    *,
    file: Path | None,
    aria2_conf: Path | None,
    allow_download: bool,
    root: str | None,
    host: str | None,
    port: int | None,
    allow_domain: tuple[str, ...],
    state_dir: str | None,
    log_format: str,
    log_level: str,
    is_check: bool,
) -> None:
    """Run the download daemon: one HTTP request makes it fetch a remote file onto its own disk."""
    environment = dict(os.environ)
    systemd.clear_environment(os.environ)
    flags = Flags(
        allow_download=allow_download,
        root=root,
        host=host,
        port=port,
        allow_domain=allow_domain,
        state_dir=state_dir,
    )
    options = ProcessOptions(
        file=file,
        aria2_conf=aria2_conf,
        flags=flags,
        environment=environment,
        log_format=LogFormat(log_format),
        log_level=LogLevel(log_level),
    )
    context = click.get_current_context()
    if is_check:
        click.echo(check(options))
        context.exit()
    if context.invoked_subcommand is None:
        run(options)
    else:
        context.obj = options


command.add_command(records_copy)


def main() -> None:
    """Run the command as the console script; print an expected failure as one line and exit with its status."""
    try:
        command.main(prog_name="downloadd", standalone_mode=False)
    except click.ClickException as error:
        # Such a message may quote a URL that is in the wrong place.
        message = _USERINFO.sub("://...@", error.format_message())
        _print_error(f"{message} (see downloadd --help)")
        sys.exit(2)
    except StartupError as error:
        _print_error(error.message)
        sys.exit(error.exit_status)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(128 + signal.SIGINT)


def _print_error(message: str) -> None:
    with suppress(OSError):
        for line in message.splitlines():
            click.echo(f"downloadd: {line}", err=True)
