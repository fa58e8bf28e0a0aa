"""Deliveries in real records, for tests of the hooks."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from records.contract import NOW, ManualClock, added, sample_download
from support.downloads import with_fields

from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.hooks.rules import encode_message
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State


def make_delivery(*, hook: str = "chat", tries: int = 0) -> Delivery:
    """Return a delivery of the message about a completed download."""
    download = with_fields(sample_download(), state=State.COMPLETED, ended_seq=1, end_time=int(NOW))
    return _delivery_of(download, hook, tries=tries)


@asynccontextmanager
async def open_records(
    folder: Path, clock: ManualClock, *, hooks: Iterable[str] = ("chat",)
) -> AsyncIterator[SqliteRecords]:
    """Open records that write a delivery to each hook when a download finishes."""

    def make_deliveries(download: Download) -> list[Delivery]:
        return [_delivery_of(download, hook) for hook in hooks]

    async with SqliteRecords(folder, clock=clock, make_deliveries=make_deliveries) as records:
        yield records


async def finish_downloads(records: SqliteRecords, count: int = 1) -> list[str]:
    """Add downloads that are finished, each with its deliveries; return their ids."""
    finished = [with_fields(sample_download(), state=State.FAILED, end_time=int(NOW)) for _ in range(count)]
    return [download.id for download in await added(records, *finished)]


def _delivery_of(download: Download, hook: str, *, tries: int = 0) -> Delivery:
    event_id = f"{download.id}.{download.result.ended_seq}"
    body = encode_message(download, event_id)
    return Delivery(event_id=event_id, hook=hook, download_id=download.id, body=body, created=NOW, tries=tries, due=NOW)
