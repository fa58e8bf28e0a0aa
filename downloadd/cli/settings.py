"""The command `settings`: shows and changes the limits on all downloads."""

from typing import Any

import click
from rich.table import Table

from downloadd.cli import formatting
from downloadd.cli.struct_options import given_values, struct_options
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, CurrentSettings
from downloadd.fronts.rest.settings_schemas import SettingsBody


@click.command()
@struct_options(SettingsBody, flags={"allow_starts": ("--allow-starts/--no-allow-starts",)})
@daemon_command
async def settings(client: Client, terminal: Terminal, /, **changes: Any) -> None:
    """Show the limits on all downloads, or change them while the daemon runs.

    A change applies at once, and until the daemon restarts or reads its configuration again; hours of [[limits]] that
    begin or end set the limits that they have. Downloads that run continue, even if they are more than may start now.

    \b
    Examples:
      downloadctl settings
      downloadctl settings --speed-limit 1MiB --max-concurrent 4
      downloadctl settings --speed-limit 0
      downloadctl settings --no-allow-starts
    """
    given = given_values(changes)
    if not given:
        shown = await client.settings()
        terminal.write_result(shown, _build_table(shown))
        return
    changed = await client.change_settings(**given)
    terminal.write_text(f"{changed.message}:")
    terminal.write_result(changed, _build_table(changed))


def _build_table(settings: CurrentSettings) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_row("downloads at once", str(settings.max_concurrent))
    table.add_row("from one host", str(settings.max_per_host))
    speed = f"{formatting.format_size(settings.speed_limit)}/s" if settings.speed_limit else "no limit"
    table.add_row("speed together", speed)
    if not settings.allow_starts:
        table.add_row("starts", "none")
    if settings.hours is not None:
        table.add_row("by the hours", formatting.format_hours(settings.hours))
    if settings.next_change is not None:
        table.add_row("other hours from", formatting.format_time(int(settings.next_change)))
    return table
