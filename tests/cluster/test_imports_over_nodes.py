"""Imports over nodes: one node drives an import, any shows and starts it, and another goes on when that is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.import_stack import USER, content
from support.node_stack import NodeStack, open_node
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.clock import SystemClock
from downloadd.config import Config, StorageConfig
from downloadd.events import ImportChanged, Subscription
from downloadd.import_operation import PENDING_FILES, ImportOperation, ImportState, PendingRequest, Selection
from downloadd.imports import assembly
from downloadd.imports.service import ImportService
from downloadd.metrics import Metrics
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Rights
from downloadd.storage.local import LocalDestination

ALL = Selection(users=None, channels=None)
PENDING = PendingRequest(kind=PENDING_FILES)


async def reclaim_nothing(directory: str, nbytes: int) -> bool:
    return False


@asynccontextmanager
async def importing(node: NodeStack, folder: Path) -> AsyncIterator[ImportService]:
    """Open the imports of a node, which looks often for those of nodes that are gone."""
    async with LocalDestination(folder / "files", min_free=0, fsync=False, is_shared=True) as destination:
        service = assembly.assemble_imports(
            Config(storage=StorageConfig(root=str(folder / "files"))),
            store=node.records,
            downloads=node.manager,
            destination=destination,
            bus=node.bus,
            clock=SystemClock(),
            rights=Rights(directories=DirectoryRules(), is_enabled=True),
            root=str(folder / "files"),
            metrics=Metrics().imports,
            reclaim=reclaim_nothing,
            takeover_interval=0.1,
        )
        async with service:
            yield service


async def state_of(service: ImportService, operation: ImportOperation, *states: ImportState) -> ImportOperation:
    """Return an operation once it is in one of the states."""

    async def find() -> ImportOperation | None:
        found = await service.get(operation.id, user=USER)
        return found if found.state in states else None

    found: ImportOperation = await wait_until(find)
    return found


async def test_an_import_that_one_node_has_read_is_shown_and_started_on_another(
    tmp_path: Path, database: str, origin: Origin
) -> None:
    origin.script("/a", ScriptedResponse(size=10))
    async with (
        open_node(tmp_path, database, "alpha") as first,
        open_node(tmp_path, database, "beta") as second,
        importing(first, tmp_path) as one,
        importing(second, tmp_path) as two,
    ):
        with second.bus.subscribe() as subscription:
            urls = origin.url("/a").encode()
            operation = await one.upload("urls", content(urls), user=USER, name="l", content_type=None)
            # What another node did is published here too.
            await published(subscription, ImportState.UPLOADED)
            # It lies where all nodes read it, hidden from users.
            [upload] = (tmp_path / "files" / ".downloadd" / "uploads").iterdir()
            assert (upload.name, upload.stat().st_mode & 0o777) == (operation.id, 0o600)
            assert await two.file_data(USER) is None
            await state_of(one, operation, ImportState.READY)
            await two.start(ALL, user=USER)
            assert await two.download_pending(PENDING, user=USER) == 1
            await published(subscription, ImportState.DONE)
        assert [each.state for each in await one.latest(USER)] == [each.state for each in await two.latest(USER)]


async def test_another_node_goes_on_with_the_import_of_one_that_is_gone(
    tmp_path: Path, database: str, origin: Origin
) -> None:
    released = asyncio.Event()
    origin.script("/a", ScriptedResponse(size=10, body_event=released))
    async with (
        open_node(tmp_path, database, "alpha") as first,
        open_node(tmp_path, database, "beta") as second,
        importing(first, tmp_path) as one,
    ):
        operation = await one.upload("urls", content(origin.url("/a").encode()), user=USER, name="l", content_type=None)
        assert await one.file_data(USER) is None
        await state_of(one, operation, ImportState.READY)
        await one.start(ALL, user=USER)
        assert await one.download_pending(PENDING, user=USER) == 1
        # A node that starts beside it takes nothing away.
        async with importing(second, tmp_path) as two:
            before = await one.latest(USER)
            assert [each.epoch for each in await two.latest(USER)] == [each.epoch for each in before]
            assert two.active_operations == 0
            await gone(first)
            await wait_until(lambda: two.active_operations == 1)
            await wait_until(lambda: one.active_operations == 0)
            released.set()

            async def are_done() -> bool:
                return {each.state for each in await two.latest(USER)} <= {ImportState.DONE, ImportState.READY}

            await wait_until(are_done)


async def published(subscription: Subscription, state: ImportState) -> None:
    """Return when an operation in this state is published."""
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while True:
            events = [each.event for each in await subscription.receive()]
            if any(isinstance(event, ImportChanged) and event.operation.state is state for event in events):
                return


async def gone(node: NodeStack) -> None:
    """Let the last heartbeat of a node be older than its lease."""
    sql = "UPDATE nodes SET last_seen = last_seen - interval '1 hour' WHERE name = $1"
    assert await node.records.execute(sql, node.report.name) == 1
