"""Manager with real records, a real directory and a real client."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from support.tls_contexts import system_tls

from downloadd.clock import SystemClock
from downloadd.config import DownloadsConfig
from downloadd.directory_settings import DirectorySettings
from downloadd.events import EventBus
from downloadd.manager.admission_control import AdmissionControl
from downloadd.manager.kept_parts import KeptParts
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.manager import Manager
from downloadd.manager.notifier import Notifier
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.run_factory import RunFactory
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.manager.scheduler import Limits
from downloadd.manager.small_publications import SmallPublications
from downloadd.manager.space_queue import SpaceQueue
from downloadd.manager.stall_monitor import StallMonitor
from downloadd.manager.storage_gate import StorageGate
from downloadd.metrics import Metrics
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.writer import LOCK_TIMEOUT_SECONDS
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session

CONFIG = DownloadsConfig(enabled=True, allowed_networks=("127.0.0.0/8",), max_retries=2)


class ManagerStack:
    """Manager and its parts."""

    def __init__(
        self,
        *,
        root: Path,
        records: SqliteRecords,
        destination: LocalDestination,
        bus: EventBus,
        dispatcher: LocalDispatcher,
        admission: AdmissionControl,
        runs: RunTable,
        runner: Runner,
        manager: Manager,
        kept_parts: KeptParts,
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
        self.kept_parts = kept_parts

    def files(self) -> dict[str, bytes]:
        """Return all files below the root, with part files, by their paths."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


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
) -> AsyncIterator[ManagerStack]:
    """Open all parts in order, and close them as the daemon does."""
    clock, bus, policy = SystemClock(), EventBus(), Policy.from_config(config)
    async with (
        SqliteRecords(folder / "state", clock, lock_timeout=lock_patience) as records,
        LocalDestination(
            folder / "files",
            min_free=min_free,
            fsync=fsync,
            directory_settings=directory_settings,
            reclaim=lambda directory, nbytes: kept_parts.reclaim(directory, nbytes),
            has_commit_process=has_commit_process,
        ) as destination,
        Session(policy=policy, credentials=(), stall_timeout=config.stall_timeout, tls=system_tls()) as session,
    ):
        dispatcher, notifier = LocalDispatcher(Limits.from_config(config), clock), Notifier(bus, Metrics().downloads)
        kept_parts = KeptParts(
            records=records,
            kept=records.kept_parts,
            destination=destination,
            clock=clock,
            keep_seconds=keep_parts,
        )
        origins = OriginMonitor(dispatcher, records.origins)
        gate = StorageGate(destination, dispatcher, clock)
        space = SpaceQueue(destination, dispatcher, records, clock, reclaim=kept_parts.reclaim)
        runs = RunTable(dispatcher, space)
        admission = AdmissionControl(
            records=records,
            destination=destination,
            dispatcher=dispatcher,
            notifier=notifier,
            runs=runs,
            clock=clock,
            policy=policy,
            directories=DirectoryRules(),
            config=config,
        )
        runner = Runner(
            records=records,
            destination=destination,
            dispatcher=dispatcher,
            notifier=notifier,
            gate=gate,
            space=space,
            runs=runs,
            factory=RunFactory(
                records=records,
                session=session,
                destination=destination,
                clock=clock,
                slots=dispatcher,
                origins=origins,
                runs=runs,
                config=config,
                keeps_parts=keep_parts > 0,
                small_files=SmallPublications(records, destination, clock),
            ),
            clock=clock,
        )
        async with Manager(
            records=records,
            destination=destination,
            dispatcher=dispatcher,
            notifier=notifier,
            gate=gate,
            space=space,
            admission=admission,
            runs=runs,
            runner=runner,
            stalls=StallMonitor(runs, records, clock, config, abort=runner.abort),
            origins=origins,
            kept_parts=kept_parts,
            clock=clock,
        ) as manager:
            yield ManagerStack(
                root=folder / "files",
                records=records,
                destination=destination,
                bus=bus,
                dispatcher=dispatcher,
                admission=admission,
                runs=runs,
                runner=runner,
                manager=manager,
                kept_parts=kept_parts,
            )
