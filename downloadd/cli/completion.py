"""Shell completion with values from the daemon; without suggestions if it does not answer in time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from downloadd.cli import formatting
from downloadd.cli.daemon_location import locate_daemon
from downloadd.cli.download_ids import MAX_HISTORY_SEARCHED, shorten_id
from downloadd.cli.follow import MAX_ACTIVE
from downloadd.cli.terminal import Terminal
from downloadd.client import ActiveEntry, Client, ClientError, HistoryEntry

TIMEOUT_SECONDS: Final = 2.0
"""Seconds to wait for the daemon."""

Suggestions = list[tuple[str, str]]
"""Words, each with its description."""


def active_downloads(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return ids of active downloads."""

    async def query(client: Client) -> Suggestions:
        return _suggestions((await client.files.downloads.list_global(limit=MAX_ACTIVE)).downloads)

    return _complete(context, start, query)


def ended_downloads(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return ids of downloads that ended recently."""

    async def query(client: Client) -> Suggestions:
        return _suggestions((await client.files.downloads.get_history(limit=MAX_HISTORY_SEARCHED)).history)

    return _complete(context, start, query)


def all_downloads(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return ids of active downloads and of those that ended recently."""

    async def query(client: Client) -> Suggestions:
        downloads = client.files.downloads
        active = (await downloads.list_global(limit=MAX_ACTIVE)).downloads
        return _suggestions([*active, *(await downloads.get_history(limit=MAX_HISTORY_SEARCHED)).history])

    return _complete(context, start, query)


def directories(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Return directories below the storage root."""

    async def query(client: Client) -> Suggestions:
        return [(directory, "") for directory in await client.directories(start)]

    return _complete(context, start, query)


def _suggestions(entries: Iterable[ActiveEntry | HistoryEntry]) -> Suggestions:
    return [(shorten_id(entry.id), formatting.format_name(entry)) for entry in entries]


def _complete(
    context: click.Context, start: str, query: Callable[[Client], Awaitable[Suggestions]]
) -> list[CompletionItem]:
    root = context.find_root()
    options, terminal = root.params, root.find_object(Terminal)
    if terminal is None:
        return []

    async def query_daemon() -> Suggestions:
        daemon_location = locate_daemon(
            url=options.get("url"),
            token=options.get("token"),
            token_file=_to_path(options.get("token_file")),
            ca_file=_to_path(options.get("ca_file")),
            state_dir=_to_path(options.get("state_dir")),
            environment=terminal.environment,
        )
        async with asyncio.timeout(TIMEOUT_SECONDS), daemon_location.client() as client:
            return await query(client)

    try:
        suggestions = asyncio.run(query_daemon())
    except (ClientError, click.ClickException, TimeoutError, OSError):
        return []
    return [CompletionItem(word, help=text or None) for word, text in suggestions if word.startswith(start)]


def _to_path(text: str | Path | None) -> Path | None:
    return None if text is None else Path(text)
