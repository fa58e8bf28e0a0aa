"""Manager with real records, a real directory and a real client."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from support.file_tree import contents_below
from support.tls_contexts import system_tls

from downloadd.clock import SystemClock
from downloadd.config import DownloadsConfig
from downloadd.directory_settings import DirectorySettings
from downloadd.events import EventBus
from downloadd.manager.abandoned_downloads import AbandonedDownloads
from downloadd.manager.admission_control import AdmissionControl
from downloadd.manager.assembly import ManagerSettings, assemble_manager
from downloadd.manager.ended_follower import EndedFollower
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.kept_parts import KeptParts
from downloadd.manager.lease_gate import LeaseGate
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.manager import Manager
from downloadd.manager.queue_control import QueueControl
from downloadd.manager.run_limits import RunLimits
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.manager.shared_dispatcher import SharedDispatcher
from downloadd.metrics import Metrics
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.store import Store
from downloadd.records.writer import LOCK_TIMEOUT_SECONDS
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session
from downloadd.transfer.speed_floor import SpeedPolicy

CONFIG = DownloadsConfig(
    enabled=True, allowed_networks=("127.0.0.0/8",), max_retries=2, max_concurrent=64, max_per_host=16
)


class ManagerStack:
    """Manager and its parts."""

    def __init__(
        self,
        *,
        root: Path,
        records: Store,
        destination: LocalDestination,
        bus: EventBus,
        dispatcher: LocalDispatcher | SharedDispatcher,
        admission: AdmissionControl,
        runs: RunTable,
        runner: Runner,
        manager: Manager,
        queue: QueueControl,
        kept_parts: KeptParts,
        limits: RunLimits,
        hours: HourlyLimits,
        follower: EndedFollower,
        lease: LeaseGate,
        abandoned: AbandonedDownloads,
    ) -> None:
        self.root = root
        self.records = records
        self.destination = destination
        self.bus = bus
        self.dispatcher = dispatcher
        self.admission = admission
        self.runs = runs
        self.runner = runner
        self.manager = manager
        self.queue = queue
        self.kept_parts = kept_parts
        self.limits = limits
        self.hours = hours
        self.follower = follower
        self.lease = lease
        self.abandoned = abandoned

    def files(self) -> dict[str, bytes]:
        """Return all files below the root, with part files, by their paths."""
        return contents_below(self.root)


@asynccontextmanager
async def open_stack(
    folder: Path,
    config: DownloadsConfig = CONFIG,
    *,
    fsync: bool = False,
    lock_patience: float = LOCK_TIMEOUT_SECONDS,
    keep_parts: float = 7 * 86_400,
    min_free: int = 0,
    directory_settings: Callable[[str], DirectorySettings] = lambda directory: DirectorySettings(),
    has_commit_process: bool = False,
    speed_policy: SpeedPolicy | None = None,
    store: Store | None = None,
    reuse: bool = False,
) -> AsyncIterator[ManagerStack]:
    """Open all parts in order, and close them as the daemon does.

    `store`: one that is open, and that others may share, in place of SQLite in the folder.
    """
    clock, bus, policy = SystemClock(), EventBus(), Policy.from_config(config)
    async with (
        _opened(store or SqliteRecords(folder / "state", clock, lock_timeout=lock_patience)) as records,
        LocalDestination(
            folder / "files",
            min_free=min_free,
            fsync=fsync,
            directory_settings=directory_settings,
            reclaim=lambda directory, nbytes: kept_parts.reclaim(directory, nbytes),
            has_commit_process=has_commit_process,
            is_shared=records.is_shared,
        ) as destination,
        Session(policy=policy, credentials=(), stall_timeout=config.stall_timeout, tls=system_tls()) as session,
    ):
        parts = assemble_manager(
            ManagerSettings(
                config=config,
                policy=policy,
                directories=DirectoryRules(),
                keep_parts=keep_parts,
                reuse=reuse,
                speed_policy=speed_policy,
                takeover_interval=1000.0,
            ),
            records=records,
            destination=destination,
            files=destination.finished_files,
            session=session,
            bus=bus,
            metrics=Metrics().downloads,
            clock=clock,
        )
        kept_parts = parts.kept_parts
        async with parts.manager as manager:
            yield ManagerStack(
                root=folder / "files",
                records=records,
                destination=destination,
                bus=bus,
                dispatcher=parts.dispatcher,
                admission=parts.admission,
                runs=parts.runs,
                runner=parts.runner,
                manager=manager,
                queue=parts.queue,
                kept_parts=kept_parts,
                limits=parts.limits,
                hours=parts.hours,
                follower=parts.follower,
                lease=parts.lease,
                abandoned=parts.abandoned,
            )


@asynccontextmanager
async def _opened(store: Store | SqliteRecords) -> AsyncIterator[Store]:
    """Open records of the stack; those that are open already are left open."""
    if isinstance(store, SqliteRecords):
        async with store as records:
            yield records
    else:
        yield store
