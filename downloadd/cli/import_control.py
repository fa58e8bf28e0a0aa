"""`import-retry` and `import-end`: what becomes of the files of an import that failed."""

import click

from downloadd.cli import formatting
from downloadd.cli.errors import CommandError
from downloadd.cli.import_file import follow_run
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client
from downloadd.fronts.rocketchat.schemas import CountResponse, CurrentOperation
from downloadd.fronts.rocketchat.statuses import ImportStatus


@click.command("import-retry")
@click.argument("operation", metavar="ID")
@click.option("-w", "--watch", is_flag=True, help="Wait until the files are completed; fail if one failed.")
@daemon_command
async def import_retry(client: Client, terminal: Terminal, *, operation: str, watch: bool) -> None:
    """Try the failed and cancelled files and avatars of an import again.

    ID is that of the import, or of a download of its pending files.

    \b
    Example:
      downloadctl import-retry MJxTRZsYdho8Ww2qq --watch
    """
    count = 0
    failure: CommandError | None = None
    for fetch in (client.imports.download_files, client.imports.download_avatars):
        started = await fetch(operation=operation, retry=True)
        count += started
        if watch and started:
            try:
                await follow_run(client, terminal)
            except CommandError as error:
                # The avatars do not depend on the files.
                failure = failure or error
    if failure is not None:
        raise failure
    terminal.write_result(
        CountResponse(success=True, count=count), f"{formatting.format_count(count, 'file')} tried again."
    )


@click.command("import-end")
@click.argument("operation", metavar="ID")
@click.option("--give-up", is_flag=True, help="Give up the files that are not completed: they are never tried again.")
@daemon_command
async def import_end(client: Client, terminal: Terminal, *, operation: str, give_up: bool) -> None:
    """End an import with its downloads; one that is finished stays as it is.

    \b
    Examples:
      downloadctl import-end MJxTRZsYdho8Ww2qq
      downloadctl import-end MJxTRZsYdho8Ww2qq --give-up
    """
    ended = await client.imports.cancel(operation, give_up=give_up)
    outcome = "ended" if ended.status is ImportStatus.CANCELLED else "was finished before"
    terminal.write_result(
        CurrentOperation(operation=ended, success=True),
        f"{formatting.replace_unprintable(ended.type)} {outcome}"
        f"{'; the files that are not completed are given up' if give_up else ''}.",
    )
