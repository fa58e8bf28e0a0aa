"""The command `downloadd records-copy`: the records of a stopped daemon from SQLite to PostgreSQL."""

import asyncio
import sys
from pathlib import Path

import click
from msgspec.structs import replace

from downloadd.clock import SystemClock
from downloadd.config.database_url import parse_database_url
from downloadd.daemon.options import setting_option
from downloadd.daemon.process import ProcessOptions
from downloadd.errors import StartupError
from downloadd.logs import configured_logging
from downloadd.records.sqlite_source import open_source

_EPILOG = """
A password in the URL of --to is shown to other users of the machine in the list of processes. Without --to, the URL
comes from the key database of [cluster], from DOWNLOADD_CLUSTER__DATABASE or from the systemd credential; --to - reads
it from standard input, or asks for it in a terminal.

\b
Exit status: 0 after a copy, or if it took place before; 2 for a mistake in the configuration, 1 for other failures.
"""


@click.command("records-copy", epilog=_EPILOG)
@click.option(
    "--to",
    metavar="URL",
    help="URL of the database; - reads it from standard input.  [default: database of [cluster]]",
)
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="Read this TOML file.")
@setting_option("--state-dir")
@click.pass_obj
def records_copy(options: ProcessOptions, *, to: str | None, file: Path | None, state_dir: str | None) -> None:
    """Copy the records of a stopped daemon from the SQLite file in its state directory into a PostgreSQL database.

    The database must not have other records. Everything is copied in one transaction, so that a copy that fails changes
    nothing; one that is repeated changes nothing either. The rows of the SQLite file stay as they are.
    """
    if state_dir is not None:
        options = replace(options, flags=replace(options.flags, state_dir=state_dir))
    if file is not None:
        options = replace(options, file=file)
    config = options.read_config().config
    url = _require_url(_read_url() if to == "-" else to) if to else config.cluster.database
    if not url:
        raise click.UsageError("name the database with --to URL, or with the key database of [cluster]")
    with configured_logging(format=options.log_format, level=options.log_level):
        setting = "--to" if to else "cluster.database"
        click.echo(_copy(Path(config.server.state_dir), url, setting))


def _read_url() -> str:
    """Return the URL that standard input has, or that a user types, which is not shown."""
    is_typed = sys.stdin.isatty()
    url: str = click.prompt("URL of the database", hide_input=True) if is_typed else sys.stdin.readline()
    if not url.strip():
        raise StartupError("--to -: standard input has no URL; write it there as one line", exit_status=2)
    return url.strip()


def _require_url(text: str) -> str:
    try:
        return parse_database_url(text)
    except ValueError as error:
        raise StartupError(f"--to: {error}", exit_status=2) from None


def _copy(state_dir: Path, url: str, setting: str) -> str:
    """Copy the records, and return the report.

    Raises:
        StartupError: they cannot be copied.
    """
    try:
        from downloadd.records.postgres.address import DatabaseAddress
        from downloadd.records.postgres.sqlite_copy import copy_records
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise StartupError(
            "records-copy needs a driver for PostgreSQL: install it with pip install 'downloadd[cluster]'",
            exit_status=2,
        ) from None
    address = DatabaseAddress(url, setting=setting)
    with open_source(state_dir, now=SystemClock().wall()) as source:
        result = asyncio.run(copy_records(source, address))
    if result.was_copied_before:
        return f"Nothing was changed: these records were copied to {address.label} before."
    lines = [f"Copied to {address.label}:"]
    for rows in result.rows:
        left_out = f" ({rows.damaged} damaged rows were left out; the log names them)" if rows.damaged else ""
        lines.append(f"{rows.copied:>10} {rows.label}{left_out}")
    return "\n".join(lines)
