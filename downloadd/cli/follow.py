"""Following downloads until they have ended, or for as long as somebody looks."""

from collections.abc import Callable, Iterable
from contextlib import aclosing

from downloadd.client import ActiveEntry, Client, Connected, ConnectionLostError, Event, HistoryEntry, Reset

MAX_ACTIVE = 10_000
"""Entries of a listing."""


async def follow(
    client: Client, ids: Iterable[str] | None, on_event: Callable[[Event], None]
) -> dict[str, HistoryEntry]:
    """Tells `on_event` what happens to these downloads, or to all, and returns how they have ended; of all, never.

    Raises:
        ApiError: the token may not look, or there is no such download.
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
                # What had ended before the stream began is not told by it.
                for entry in await _fetch_finished(client, [id for id in requested_ids if id not in ended]):
                    on_event(Event(data=entry, id=event.id))
                    ended[entry.id] = entry
            if requested_ids is not None and len(ended) == len(requested_ids):
                return ended
    raise AssertionError("the stream of events has no end")


async def _fetch_finished(client: Client, ids: list[str]) -> list[HistoryEntry]:
    downloads = client.files.downloads
    try:
        active = {entry.id for entry in (await downloads.list_global(limit=MAX_ACTIVE)).downloads}
        looked_at = [await downloads.get(id) for id in ids if id not in active]
    except ConnectionLostError:
        # The stream breaks off as well, and then comes back here.
        return []
    return [entry for entry in looked_at if isinstance(entry, HistoryEntry)]
