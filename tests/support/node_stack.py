"""Manager of one of several nodes in this process, which share a database and a folder."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from support.manager_stack import CONFIG
from support.node_reports import node_report
from support.tls_contexts import system_tls

from downloadd.clock import SystemClock
from downloadd.config import DownloadsConfig
from downloadd.events import EventBus
from downloadd.manager.assembly import ManagerParts, ManagerSettings, assemble_manager
from downloadd.manager.manager import Manager
from downloadd.metrics import Metrics
from downloadd.node import NodeReport
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.postgres.schema import Migration
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session


class NodeStack(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a node."""

    report: NodeReport
    records: PostgresRecords
    destination: LocalDestination
    bus: EventBus
    parts: ManagerParts
    manager: Manager

    def suspend(self) -> None:
        """Let this node claim nothing."""
        self.parts.dispatcher.queue.set_suspension("held by the test")

    def end_suspension(self) -> None:
        """Let this node claim again."""
        self.parts.dispatcher.queue.set_suspension(None)


@asynccontextmanager
async def open_node(
    folder: Path,
    database: str,
    name: str,
    config: DownloadsConfig = CONFIG,
    *,
    migrations: Sequence[Migration] | None = None,
    reuse: bool = False,
) -> AsyncIterator[NodeStack]:
    """Open a node whose lease does not end; its storage root is that of all nodes of the folder.

    `migrations` are those of another version.
    """
    clock, bus, policy = SystemClock(), EventBus(), Policy.from_config(config)
    report = node_report(name=name, session=f"session of {name}", instance=f"instance of {name}", lease=300.0)
    async with (
        PostgresRecords(database, clock, is_owner=False, migrations=migrations) as records,
        LocalDestination(folder / "files", min_free=0, fsync=False, is_shared=True) as destination,
        Session(policy=policy, credentials=(), stall_timeout=config.stall_timeout, tls=system_tls()) as session,
    ):
        await records.nodes.register(report, is_start=True)
        parts = assemble_manager(
            ManagerSettings(
                config=config,
                policy=policy,
                directories=DirectoryRules(),
                keep_parts=0,
                reuse=reuse,
                node=name,
                takeover_interval=0.2,
            ),
            records=records,
            destination=destination,
            files=destination.finished_files,
            session=session,
            bus=bus,
            metrics=Metrics().downloads,
            clock=clock,
        )
        async with parts.manager as manager:
            yield NodeStack(
                report=report, records=records, destination=destination, bus=bus, parts=parts, manager=manager
            )
        await records.nodes.leave(report)
