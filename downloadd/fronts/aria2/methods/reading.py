"""Methods that read downloads: one, the lists, and the counts."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from downloadd.download import Snapshot
from downloadd.fronts.aria2.calls import EncodedList
from downloadd.fronts.aria2.errors import ErrorText, make_error
from downloadd.fronts.aria2.methods.context import Context
from downloadd.fronts.aria2.methods.list_answers import Listing
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.fronts.aria2.methods.windows import MAX_ROWS, resolve_window
from downloadd.fronts.aria2.status.status import (
    ACTIVE_STATES,
    FIELDS,
    Status,
    make_files,
    make_servers,
    make_statuses,
    make_uris,
    status_of,
)
from downloadd.records.protocol import ActiveFilter
from downloadd.states import FINISHED, RUNNING, State

MAX_ACTIVE_ROWS: Final = 10_000
"""Rows of tellActive, which has no window; while a network is down, all downloads may wait for another attempt."""

BATCH_ROWS: Final = 200
"""Rows that are made before the event loop continues with other work."""

Structs = list[dict[str, Any]]


async def tell_status(context: Context, parameters: Parameters) -> dict[str, Any]:
    """Return the status of one download."""
    gid = parameters.text(0)
    keys = parameters.optional_texts(1)
    return make_statuses([await context.find(gid)], keys, context.view)[0]


async def tell_active(context: Context, parameters: Parameters) -> Structs:
    """Return the status of the active downloads, oldest first."""
    keys = parameters.optional_texts(0)
    criteria = ActiveFilter(states=ACTIVE_STATES, limit=MAX_ACTIVE_ROWS)
    rows = await context.services.views.active(context.user, criteria)
    # One that is to be paused is among the waiting ones already.
    return await _make_all(context, [row for row in rows if status_of(row.download) is Status.ACTIVE], keys)


async def tell_waiting(context: Context, parameters: Parameters) -> EncodedList:
    """Return the status of a window of the waiting and paused downloads, in the order in which they start."""
    offset, num, keys = _read_window(parameters)
    user, views = context.user, context.services.views

    async def read() -> Listing:
        # The waiting list counts negative offsets as aria2 does.
        rows = await views.queue(user, offset, min(num, MAX_ROWS)) if num else []
        # A run changes its own row all the time.
        is_live = any(row.download.state in RUNNING for row in rows)
        return Listing(rows=EncodedList(await _make_all(context, rows, keys)), is_live=is_live)

    key = ("waiting", offset, num, _key_of(keys), context.view)
    return await context.services.list_answers.get(key, lambda: views.queue_revision(user), read)


async def tell_stopped(context: Context, parameters: Parameters) -> EncodedList:
    """Return the status of a window of the ended downloads, oldest first."""
    offset, num, keys = _read_window(parameters)
    user, views = context.user, context.services.views

    async def read() -> Listing:
        total = (await views.result_count(user)).shown if offset < 0 else 0
        window = resolve_window(offset, num, total)
        downloads = await views.results(user, window.start, window.count) if window.count else []
        rows = [Snapshot(download=download) for download in downloads]
        ordered = rows[::-1] if window.is_backwards else rows
        return Listing(rows=EncodedList(await _make_all(context, ordered, keys)))

    key = ("stopped", offset, num, _key_of(keys), context.view)
    return await context.services.list_answers.get(key, lambda: views.results_revision(user), read)


async def get_global_stat(context: Context, _parameters: Parameters) -> dict[str, str]:
    """Return the counts of downloads and the speed of all."""
    views = context.services.views
    counts = await views.counts(context.user)
    results = await views.result_count(context.user)
    return {
        "downloadSpeed": str(round(views.speed(context.user))),
        "uploadSpeed": "0",
        "numActive": str(sum(counts.get(state, 0) for state in ACTIVE_STATES)),
        # Downloads that are to be paused count as paused.
        "numWaiting": str(counts.get(State.QUEUED, 0) + counts.get(State.PAUSED, 0)),
        "numStopped": str(results.shown),
        "numStoppedTotal": str(results.total),
    }


async def get_files(context: Context, parameters: Parameters) -> Structs:
    """Return the file of a download."""
    return make_files(await context.find(parameters.text(0)), context.view)


async def get_uris(context: Context, parameters: Parameters) -> list[dict[str, str]]:
    """Return the URIs of a download that has not ended."""
    snapshot = await context.find(parameters.text(0))
    if snapshot.download.state in FINISHED:
        raise make_error(ErrorText.NO_URI_DATA, gid=snapshot.download.gid)
    return make_uris(snapshot, context.view)


async def get_servers(context: Context, parameters: Parameters) -> Structs:
    """Return the servers of an active download."""
    snapshot = await context.find(parameters.text(0))
    if status_of(snapshot.download) is not Status.ACTIVE:
        raise make_error(ErrorText.NO_ACTIVE_DOWNLOAD, gid=snapshot.download.gid)
    return make_servers(snapshot, context.view)


async def get_peers(context: Context, parameters: Parameters) -> Structs:
    """Return no peers, which only BitTorrent has."""
    snapshot = await context.find(parameters.text(0))
    if snapshot.download.state in FINISHED:
        raise make_error(ErrorText.NO_PEER_DATA, gid=snapshot.download.gid)
    return []


def _read_window(parameters: Parameters) -> tuple[int, int, list[str] | None]:
    return parameters.integer(0), parameters.integer(1, minimum=0), parameters.optional_texts(2)


def _key_of(keys: Sequence[str] | None) -> tuple[str, ...] | None:
    # Unknown keys have no effect, and clients may send any number of them. An empty list stands for all.
    return tuple(key for key in dict.fromkeys(keys) if key in FIELDS) if keys else None


async def _make_all(context: Context, rows: Sequence[Snapshot], keys: Sequence[str] | None) -> Structs:
    view, statuses = context.view, list[dict[str, Any]]()
    for start in range(0, len(rows), BATCH_ROWS):
        if start:
            await asyncio.sleep(0)
        statuses += make_statuses(rows[start : start + BATCH_ROWS], keys, view)
    return statuses
