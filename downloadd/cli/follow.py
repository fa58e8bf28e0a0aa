"""Following of downloads by the event stream."""

from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Final

from downloadd.client import ActiveEntry, Client, Connected, ConnectionLostError, Event, HistoryEntry, Reset
from downloadd.fronts.rest.schemas import MAX_ITEMS

MAX_ACTIVE: Final = MAX_ITEMS
"""Entries of a listing."""


async def follow(
    client: Client, ids: Iterable[str] | None, on_event: Callable[[Event], None]
) -> dict[str, HistoryEntry]:
    """Call `on_event` for each event of these downloads, and return their entries of the history by id.

    With None for `ids` it follows all downloads and does not return.

    Raises:
        ApiError: The token may not read events, or there is no such download.
    """
    requested_ids = None if ids is None else dict.fromkeys(ids)
    ended: dict[str, HistoryEntry] = {}
    if requested_ids is not None and not requested_ids:
        return ended
    async with aclosing(client.events()) as events:
        async for event in events:
            if (
                isinstance(event.data, ActiveEntry | HistoryEntry)
                and requested_ids is not None
                and event.data.id not in requested_ids
            ):
                continue
            on_event(event)
            if isinstance(event.data, HistoryEntry):
                ended[event.data.id] = event.data
            elif isinstance(event.data, Connected | Reset) and requested_ids is not None:
                # The stream does not report downloads that ended before it began.
                for entry in await _fetch_finished(client, [id for id in requested_ids if id not in ended]):
                    on_event(Event(data=entry, id=event.id))
                    ended[entry.id] = entry
            if requested_ids is not None and len(ended) == len(requested_ids):
                return ended
    raise AssertionError("the event stream never ends")


async def _fetch_finished(client: Client, ids: list[str]) -> list[HistoryEntry]:
    downloads = client.files.downloads
    try:
        active = {entry.id for entry in (await downloads.list_global(limit=MAX_ACTIVE)).downloads}
        entries = [await downloads.get(id) for id in ids if id not in active]
    except ConnectionLostError:
        # The stream loses its connection too; it calls this again after it has reconnected.
        return []
    return [entry for entry in entries if isinstance(entry, HistoryEntry)]
