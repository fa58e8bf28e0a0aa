"""Nodes of two versions side by side: the newer one adds to the tables and to what a node reports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from support.node_stack import NodeStack, open_node
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.node import NodeReport
from downloadd.records.postgres.schema import Migration, shipped_migrations
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State

SIZE: Final = 100_000
RECEIVED: Final = 40_000
_PRESENT: Final = shipped_migrations()
NEXT_VERSION: Final = (
    *_PRESENT,
    Migration(
        version=_PRESENT[-1].version + 1,
        sql="""
        ALTER TABLE downloads ADD COLUMN added text NOT NULL DEFAULT '';
        ALTER TABLE nodes ADD COLUMN added bigint;
        ALTER TABLE slots ADD COLUMN added bigint NOT NULL DEFAULT 0;
        CREATE TABLE added (id bigint PRIMARY KEY);
        """,
    ),
)


class NewerReport(NodeReport, frozen=True, kw_only=True):
    """Report of a newer version, with a field that this one does not know."""

    added: str = "x"


async def run_on(node: NodeStack, other: NodeStack, url: str) -> list[Download]:
    """Start downloads that one node alone runs, and the other one has accepted."""
    other.suspend()
    requests = [DownloadRequest(url=url, directory="d")] * 2
    rows = (await other.manager.start(requests, user="ann")).downloads
    for row in rows:

        async def has_begun(id: str = row.id) -> bool:
            known = await other.records.get(id)
            return known is not None and known.epoch > 0

        await wait_until(has_begun)
    other.end_suspension()
    return list(rows)


async def complete_on(node: NodeStack, other: NodeStack, url: str) -> None:
    """Let one node alone complete downloads."""
    for row in await run_on(node, other, url):
        assert (await other.manager.wait(row.id, CONDITION_TIMEOUT)).state is State.COMPLETED


@asynccontextmanager
async def open_newer_node(folder: Path, database: str, name: str) -> AsyncIterator[NodeStack]:
    async with open_node(folder, database, name, migrations=NEXT_VERSION) as node:
        fields = {field: getattr(node.report, field) for field in node.report.__struct_fields__}
        await node.records.nodes.beat(NewerReport(**{**fields, "version": "2.0"}))
        yield node


async def test_nodes_of_two_versions_work_side_by_side_and_are_upgraded_one_after_the_other(
    tmp_path: Path, database: str, origin: Origin
) -> None:
    slow = ScriptedResponse(size=SIZE, etag='"1"', stall_after=RECEIVED)
    origin.script("/slow", slow)
    origin.script("/file", ScriptedResponse(size=10))
    first = AsyncExitStack()
    async with first:
        alpha = await first.enter_async_context(open_node(tmp_path, database, "alpha"))
        async with open_node(tmp_path, database, "beta") as beta:
            rows = [*await run_on(alpha, beta, origin.url("/slow")), *await run_on(beta, alpha, origin.url("/slow"))]

            def have_received() -> bool:
                runs = [active.run for node in (alpha, beta) for active in node.parts.runs]
                return [run.snapshot().download.progress.received for run in runs] == [RECEIVED] * len(rows)

            await wait_until(have_received)
        # The older node runs all when the newer one changes the tables.
        await wait_until(lambda: len(alpha.parts.runs) == len(rows) and len(origin.requests("/slow")) == 6)
        async with open_newer_node(tmp_path, database, "beta") as beta:
            await complete_on(alpha, beta, origin.url("/file"))
            await complete_on(beta, alpha, origin.url("/file"))
            for node in (alpha, beta):
                versions = {each.report.name: each.report.version for each in await node.records.nodes.list()}
                assert versions == {"alpha": "1.0", "beta": "2.0"}
            assert (await beta.manager.pause(rows[0].id)).download.state is State.PAUSED
            await alpha.manager.resume(rows[0].id)
            origin.script("/slow", replace(slow, stall_after=None))
            await first.aclose()
            for row in rows:
                assert (await beta.manager.wait(row.id, CONDITION_TIMEOUT)).state is State.COMPLETED
            async with open_newer_node(tmp_path, database, "alpha") as upgraded:
                await complete_on(upgraded, beta, origin.url("/file"))
                history = await upgraded.records.history(HistoryFilter())
    assert {row.state for row in history} == {State.COMPLETED}
    assert len(history) == len({row.id for row in history}) == len(rows) + 6
    assert all(request.field("range") for request in origin.requests("/slow")[len(rows) :])
