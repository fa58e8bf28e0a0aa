"""Following downloads until they have ended, or for as long as somebody looks."""

from collections.abc import Callable, Iterable
from contextlib import aclosing

from downloadd.client import ActiveEntry, Client, Connected, ConnectionLostError, Event, PastEntry, Reset

MOST_ACTIVE = 10_000
"""Entries of a listing."""


async def follow(client: Client, ids: Iterable[str] | None, see: Callable[[Event], None]) -> dict[str, PastEntry]:
    """Tells `see` what happens to these downloads, or to all, and returns how they have ended; of all, never.

    Raises:
        ApiError: the token may not look, or there is no such download.
    """
    wanted = None if ids is None else dict.fromkeys(ids)
    ended: dict[str, PastEntry] = {}
    if wanted is not None and not wanted:
        return ended
    async with aclosing(client.events()) as events:
        async for event in events:
            if isinstance(event.data, ActiveEntry | PastEntry) and wanted is not None and event.data.id not in wanted:
                continue
            see(event)
            if isinstance(event.data, PastEntry):
                ended[event.data.id] = event.data
            elif isinstance(event.data, Connected | Reset) and wanted is not None:
                # What had ended before the stream began is not told by it.
                for entry in await _ended_of(client, [id for id in wanted if id not in ended]):
                    see(Event(data=entry, id=event.id))
                    ended[entry.id] = entry
            if wanted is not None and len(ended) == len(wanted):
                return ended
    raise AssertionError("the stream of events has no end")


async def _ended_of(client: Client, ids: list[str]) -> list[PastEntry]:
    downloads = client.files.downloads
    try:
        active = {entry.id for entry in (await downloads.list_global(limit=MOST_ACTIVE)).downloads}
        looked_at = [await downloads.get(id) for id in ids if id not in active]
    except ConnectionLostError:
        # The stream breaks off as well, and then comes back here.
        return []
    return [entry for entry in looked_at if isinstance(entry, PastEntry)]
