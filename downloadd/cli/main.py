"""The console script: flags to the daemon that is meant, commands, and exit codes."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from downloadd import __version__
from downloadd.cli.add import add
from downloadd.cli.control import cancel, pause, resume, retry, set_
from downloadd.cli.daemon_location import locate_daemon
from downloadd.cli.errors import CommandError, ExitStatus
from downloadd.cli.import_file import import_
from downloadd.cli.local import completion, new_token
from downloadd.cli.query import history, list_, show, status, watch
from downloadd.cli.terminal import Terminal, write_error
from downloadd.clock import SystemClock

_FILE: Final = click.Path(path_type=Path)

_EPILOG: Final = """
On the machine of the daemon nothing has to be told: address and token are in its state directory.

\b
Exit codes:
    0  done
    1  refused, or a download that was watched has failed
    2  the command makes no sense
    3  no daemon answers
    4  the token is missing, wrong, or not enough
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
    help="Where the daemon is: http://…, https://… or unix:/path.",
)
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="DOWNLOADD_TOKEN",
    show_envvar=True,
    help="Who asks. Others on this machine can read flags: better a variable or a file.",
)
@click.option("--token-file", metavar="FILE", type=_FILE, help="A file with the token.")
@click.option(
    "--ca-file",
    metavar="FILE",
    type=_FILE,
    envvar="DOWNLOADD_CA_FILE",
    show_envvar=True,
    help="Certificates to trust besides those of the system.",
)
@click.option(
    "--state-dir", metavar="DIR", type=_FILE, help="Where a daemon of this machine keeps its address and token."
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
    """Ask a download daemon: start downloads, watch them, and change them."""
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
    list_,
    watch,
    history,
    show,
    pause,
    resume,
    retry,
    cancel,
    set_,
    import_,
    new_token,
    status,
    completion,
):
    downloadctl.add_command(command)


def main() -> None:
    """Runs the command; every foreseen failure is a few lines and an exit code."""
    terminal = Terminal(dict(os.environ), SystemClock())
    try:
        # What is returned without an exception is the status of --help and the like.
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
        # Whoever reads has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitStatus.DONE)
