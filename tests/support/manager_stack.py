"""A manager with everything below it: real records, a real directory, a real client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from downloadd.clock import SystemClock
from downloadd.config import DownloadsConfig
from downloadd.events import EventBus
from downloadd.manager.dispatcher import LocalDispatcher
from downloadd.manager.manager import Manager, scheduler_limits
from downloadd.metrics import Metrics
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.writer import LOCK_TIMEOUT_SECONDS
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session

CONFIG = DownloadsConfig(enabled=True, allowed_networks=("127.0.0.0/8",), max_retries=2)


class ManagerStack:
    """The parts, for a test that looks below the manager."""

    def __init__(
        self, root: Path, records: SqliteRecords, destination: LocalDestination, bus: EventBus, manager: Manager
    ) -> None:
        self.root = root
        self.records = records
        self.destination = destination
        self.bus = bus
        self.manager = manager

    def files(self) -> dict[str, bytes]:
        """Every file below the root, part files included, by its path."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@asynccontextmanager
async def open_stack(
    folder: Path, config: DownloadsConfig = CONFIG, *, fsync: bool = False, lock_patience: float = LOCK_TIMEOUT_SECONDS
) -> AsyncIterator[ManagerStack]:
    """Opens everything in order, and closes it as the daemon does."""
    clock, bus, metrics, policy = SystemClock(), EventBus(), Metrics(), Policy.from_config(config)
    async with (
        SqliteRecords(folder / "state", clock, lock_timeout=lock_patience) as records,
        LocalDestination(folder / "files", min_free=0, fsync=fsync) as destination,
        Session(policy=policy, credentials=(), stall_timeout=config.stall_timeout) as session,
        Manager(
            records=records,
            destination=destination,
            session=session,
            dispatcher=LocalDispatcher(scheduler_limits(config), clock),
            bus=bus,
            metrics=metrics.downloads,
            clock=clock,
            policy=policy,
            directories=DirectoryRules(),
            config=config,
        ) as manager,
    ):
        yield ManagerStack(folder / "files", records, destination, bus, manager)
