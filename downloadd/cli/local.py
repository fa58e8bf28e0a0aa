"""Commands that need no daemon: `new-token` and `completion`."""

import hashlib
import json
import secrets

import click
import msgspec
from click.shell_completion import get_completion_class

from downloadd.cli.terminal import Terminal

SHELLS = ("bash", "zsh", "fish")


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and what the configuration needs of it."""

    token: str
    token_hash: str


@click.command("new-token")
@click.option("--id", "user", default="somebody", show_default=True, metavar="NAME", help="Who is to use it.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
@click.pass_obj
def new_token(terminal: Terminal, *, user: str, as_json: bool) -> None:
    """Make a token for another user, with what the configuration needs of it.

    \b
    Example:
      downloadctl new-token --id alice
    """
    terminal.as_json = as_json
    token = secrets.token_urlsafe(32)
    made = NewToken(token=token, token_hash=f"sha256:{hashlib.sha256(token.encode()).hexdigest()}")
    lines = [
        f"token  {made.token}",
        "",
        "It is shown this once. Put this into the configuration, and reload the daemon (systemctl reload downloadd):",
        "",
        "[[users]]",
        f"id = {json.dumps(user)}",
        f'token_hash = "{made.token_hash}"',
        'permissions = ["download", "view-downloads"]',
    ]
    terminal.write_result(made, "\n".join(lines))


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, downloads and directories.

    \b
    Examples:
      eval "$(downloadctl completion bash)"
      downloadctl completion fish > ~/.config/fish/completions/downloadctl.fish
    """
    of_shell = get_completion_class(shell)
    if of_shell is not None:
        click.echo(of_shell(context.find_root().command, {}, "downloadctl", "_DOWNLOADCTL_COMPLETE").source())
