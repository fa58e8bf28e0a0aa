"""The command `quota`: shows the use of the own quotas."""

import click
from rich.table import Table

from downloadd.cli import formatting
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, UserQuotaUse


@click.command()
@daemon_command
async def quota(client: Client, terminal: Terminal) -> None:
    """Show how much of the quotas of the user of the token is used.

    \b
    Examples:
      downloadctl quota
    """
    use = await client.quota()
    rows = describe(use)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    for row in rows:
        table.add_row(*row)
    terminal.write_result(use, table if rows else f"{use.user} has no quota.")


def describe(use: UserQuotaUse) -> list[tuple[str, str]]:
    """Return name and use of each quota."""
    rows = []
    if use.max_concurrent is not None:
        rows.append(("downloads at once", f"{use.max_concurrent.used} of {use.max_concurrent.limit}"))
    if use.bytes_per_day is not None:
        day = use.bytes_per_day
        used, limit = formatting.format_size(day.used), formatting.format_size(day.limit)
        rows.append(("received today", f"{used} of {limit}, until {formatting.format_time(day.ends)}"))
    if use.stored_bytes is not None:
        used, limit = (formatting.format_size(n) for n in (use.stored_bytes.used, use.stored_bytes.limit))
        rows.append(("stored", f"{used} of {limit}"))
    return rows
