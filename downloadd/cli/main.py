"""The console script `downloadctl`: its options, commands and exit codes."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from downloadd import __version__
from downloadd.cli.add import add
from downloadd.cli.control import cancel, move, pause, resume, retry, set_
from downloadd.cli.daemon_location import locate_daemon
from downloadd.cli.errors import CommandError, ExitStatus
from downloadd.cli.explain import explain
from downloadd.cli.file import get, open_
from downloadd.cli.import_control import import_end, import_retry
from downloadd.cli.import_file import import_
from downloadd.cli.local import completion, new_token
from downloadd.cli.probe import probe
from downloadd.cli.query import health, history, hosts, list_, show, status, watch
from downloadd.cli.quota import quota
from downloadd.cli.remove import remove
from downloadd.cli.schedules import schedules
from downloadd.cli.settings import settings
from downloadd.cli.storage import storage
from downloadd.cli.terminal import Terminal, write_error
from downloadd.cli.top import top
from downloadd.cli.users import users
from downloadd.cli.wait import wait
from downloadd.clock import SystemClock

_FILE: Final = click.Path(path_type=Path)

_EPILOG: Final = """
On the machine of the daemon no option is needed: address and token are read from its state directory.

\b
Exit codes:
    0  success
    1  refused, or a watched download failed
    2  invalid arguments
    3  the daemon does not answer
    4  the token is missing, wrong, or lacks a permission
    5  parts of an import file were left out
  130  interrupted

\b
Examples:
  downloadctl add --watch https://www.rfc-editor.org/rfc/rfc9110.txt
  downloadctl watch
  DOWNLOADD_TOKEN=… downloadctl --url https://dl.example.com list
"""


@click.group(context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.option(
    "--url",
    metavar="URL",
    envvar="DOWNLOADD_URL",
    show_envvar=True,
    help="Address of the daemon: http://…, https://… or unix:/path.",
)
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="DOWNLOADD_TOKEN",
    show_envvar=True,
    help="Token of the user. Other users of this machine can read options: prefer a variable or a file.",
)
@click.option("--token-file", metavar="FILE", type=_FILE, help="File with the token.")
@click.option(
    "--ca-file",
    metavar="FILE",
    type=_FILE,
    envvar="DOWNLOADD_CA_FILE",
    show_envvar=True,
    help="Certificates to trust in addition to those of the system.",
)
@click.option(
    "--state-dir",
    metavar="DIR",
    type=_FILE,
    help="State directory of a daemon on this machine.",
)
@click.version_option(__version__, prog_name="downloadctl", message="%(prog)s %(version)s")
@click.pass_context
def downloadctl(
    context: click.Context,
    *,
    url: str | None,
    token: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    state_dir: Path | None,
) -> None:
    """Control a download daemon: start, watch and change downloads."""
    terminal: Terminal = context.obj
    terminal.daemon_location = locate_daemon(
        url=url,
        token=token,
        token_file=token_file,
        ca_file=ca_file,
        state_dir=state_dir,
        environment=terminal.environment,
    )


for command in (
    add,
    probe,
    explain,
    list_,
    watch,
    history,
    show,
    hosts,
    pause,
    resume,
    retry,
    cancel,
    move,
    remove,
    set_,
    quota,
    settings,
    schedules,
    import_,
    import_end,
    import_retry,
    storage,
    new_token,
    status,
    health,
    completion,
    users,
    top,
    get,
    open_,
    wait,
):
    downloadctl.add_command(command)
downloadctl.add_command(remove, "rm")


def main() -> None:
    """Run the command; print expected failures as messages, and exit with their code."""
    terminal = Terminal(dict(os.environ), SystemClock())
    try:
        # Without an exception it returns the status of options such as --help.
        sys.exit(downloadctl.main(prog_name="downloadctl", standalone_mode=False, obj=terminal))
    except CommandError as error:
        write_error(terminal, error)
        sys.exit(error.status)
    except click.ClickException as error:
        name = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "downloadctl"
        click.echo(f"downloadctl: {error.format_message()} (see {name} --help)", err=True)
        sys.exit(ExitStatus.USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(ExitStatus.INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has closed it, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitStatus.DONE)
