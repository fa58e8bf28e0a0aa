"""The command `storage`: confirms a change of the storage root."""

import click

from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client


@click.group()
def storage() -> None:
    """Confirm changes of the storage of the daemon.

    \b
    Example:
      downloadctl storage accept
    """


@storage.command()
@daemon_command
async def accept(client: Client, terminal: Terminal) -> None:
    """Use the storage root that is there now, though another one was used before.

    Until then no download starts. If only a disk is not mounted, mount it instead: the queue goes on by itself.

    \b
    Example:
      downloadctl storage accept
    """
    response = await client.accept_storage()
    terminal.write_result(response, f"{response.message} ({response.filesystem}, device {response.device}).")
