"""Parts of a run: real records, a real directory, a real client, and an origin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.clocks import ManualClock
from support.dispatchers import make_dispatcher
from support.manager_stack import CONFIG
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.stored_downloads import claimed, sample_download
from support.tls_contexts import system_tls
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.config import DownloadsConfig
from downloadd.download import Download
from downloadd.manager.limits import Limits
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.rate_limit import DownloadLimiter, TokenBucket
from downloadd.manager.run import Run
from downloadd.manager.small_publications import SmallPublications
from downloadd.policy.policy import Policy
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.transfer.connection_slots import ConnectionSlots
from downloadd.transfer.present_files import PresentFiles
from downloadd.transfer.quota import NoQuota
from downloadd.transfer.receiver import RateLimiter
from downloadd.transfer.session import Session
from downloadd.transfer.speed_floor import SpeedPolicy

SIZE = 200_000
STALL_AFTER = 50_000


class RunParts:
    """Records, directory and client of runs, with the origin that they ask."""

    def __init__(
        self, *, root: Path, records: SqliteRecords, destination: LocalDestination, session: Session, origin: Origin
    ) -> None:
        self.root = root
        self.records = records
        self.destination = destination
        self.session = session
        self.origin = origin
        self.clock = ManualClock()
        self.dispatcher = make_dispatcher(Limits.from_config(CONFIG), self.clock)
        self.states: list[State] = []
        self.speed_limits: list[int] = []

    async def claim(self, path: str, **fields: Any) -> Download:
        """Return a claimed row for a path of the origin."""
        row = sample_download(self.origin.url(path), origin=self.origin.url(""), directory="d", filename="f")
        return await claimed(self.records, row.with_request(**fields))

    def make_run(
        self,
        row: Download,
        config: DownloadsConfig = CONFIG,
        *,
        keeps_parts: bool = True,
        slots: ConnectionSlots | None = None,
        destination: LocalDestination | None = None,
        limiter: RateLimiter | None = None,
        is_takeover: bool = False,
    ) -> Run:
        """Return a run of a claimed row."""
        destination = destination or self.destination
        return Run(
            row,
            present_files=PresentFiles(destination.finished_files, self.records.known_files),
            records=self.records,
            session=self.session,
            cookies=self.session.make_cookie_jar(),
            destination=destination,
            clock=self.clock,
            limiter=limiter or DownloadLimiter(TokenBucket(0), TokenBucket(0)),
            set_speed_limit=self.speed_limits.append,
            flush_interval=lambda: 0.0,
            slots=slots or self.dispatcher.slots,
            origins=OriginMonitor(self.dispatcher.origins, self.records.origins),
            config=config,
            keeps_parts=keeps_parts,
            small_files=SmallPublications(self.records, destination, self.clock),
            quota=NoQuota(),
            speed_policy=SpeedPolicy(),
            on_received=lambda run: None,
            on_change=lambda run: self.states.append(run.download.state),
            is_takeover=is_takeover,
        )

    def files(self) -> dict[str, bytes]:
        """Return all files below the root by their names."""
        return {path.name: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@asynccontextmanager
async def open_run_parts(folder: Path, *, is_shared: bool = False) -> AsyncIterator[RunParts]:
    """Open the parts in a folder; other processes may use its storage root if it `is_shared`."""
    async with (
        Origin() as origin,
        SqliteRecords(folder / "state", ManualClock()) as records,
        LocalDestination(folder / "files", min_free=0, fsync=False, is_shared=is_shared) as destination,
        Session(
            policy=Policy.from_config(CONFIG), credentials=(), stall_timeout=CONFIG.stall_timeout, tls=system_tls()
        ) as session,
    ):
        origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"'))
        origin.script("/slow", ScriptedResponse(size=SIZE, etag='"v"', stall_after=STALL_AFTER))
        yield RunParts(root=folder / "files", records=records, destination=destination, session=session, origin=origin)


async def perform(run: Run) -> Download:
    """Return the outcome of a run that is not fenced."""
    async with asyncio.timeout(CONDITION_TIMEOUT):
        outcome = await run.perform()
        await run.remove_stray_parts()
    assert outcome is not None
    return outcome


async def start_and_stall(parts: RunParts) -> tuple[Run, "asyncio.Task[Download]"]:
    """Return a run that waits for more bytes."""
    run = parts.make_run(await parts.claim("/slow"))
    performing = asyncio.create_task(perform(run))
    await wait_until(lambda: run.snapshot().download.progress.received == STALL_AFTER)
    return run, performing
