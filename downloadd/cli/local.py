"""Commands without a daemon: `new-token` and `completion`."""

import hashlib
import json
import secrets
from typing import Final

import click
import msgspec
from click.shell_completion import get_completion_class

from downloadd.cli.terminal import Terminal

SHELLS: Final = ("bash", "zsh", "fish")


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token and its hash for the configuration."""

    token: str
    token_hash: str


@click.command("new-token")
@click.option("--id", "user", default="somebody", show_default=True, metavar="NAME", help="Id of the user.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
@click.pass_obj
def new_token(terminal: Terminal, *, user: str, as_json: bool) -> None:
    """Create a token for another user, with the table for the configuration.

    \b
    Example:
      downloadctl new-token --id alice
    """
    terminal.as_json = as_json
    token = secrets.token_urlsafe(32)
    new = NewToken(token=token, token_hash=f"sha256:{hashlib.sha256(token.encode()).hexdigest()}")
    lines = [
        f"token  {new.token}",
        "",
        "It is not shown again. Add this to the configuration, and reload the daemon (systemctl reload downloadd):",
        "",
        "[[users]]",
        f"id = {json.dumps(user)}",
        f'token_hash = "{new.token_hash}"',
        'permissions = ["download", "view-downloads"]',
    ]
    terminal.write_result(new, "\n".join(lines))


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, downloads and directories.

    \b
    Examples:
      eval "$(downloadctl completion bash)"
      downloadctl completion fish > ~/.config/fish/completions/downloadctl.fish
    """
    completer = get_completion_class(shell)
    if completer is not None:
        click.echo(completer(context.find_root().command, {}, "downloadctl", "_DOWNLOADCTL_COMPLETE").source())
