"""All hooks on real records, with programs as receivers."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from records.contract import NOW, ManualClock
from support.deliveries import finish_downloads, open_records
from support.exposition import ReadableSeries
from support.tls_contexts import system_tls
from support.waiting import wait_until

from downloadd.config import HookConfig
from downloadd.hooks.file_actions import FileActions
from downloadd.hooks.hooks import Hooks
from downloadd.hooks.program import ProgramRunner
from downloadd.hooks.senders import make_senders
from downloadd.hooks.webhook import WebhookSender
from downloadd.metrics import HookMetrics
from downloadd.records.sqlite import SqliteRecords

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def program_hook(name: str, folder: Path, status: int = 0) -> HookConfig:
    """Return a hook that appends a line to a file of its name."""
    script = f"echo $HOOK_DOWNLOAD_ID >> {folder}/{name}; exit {status}"
    return HookConfig(name=name, command=("sh", "-c", script))


def received(name: str, folder: Path) -> list[str]:
    path = folder / name
    return path.read_text().split() if path.exists() else []


@asynccontextmanager
async def open_hooks(
    records: SqliteRecords,
    clock: ManualClock,
    *configured: HookConfig,
    series: ReadableSeries | None = None,
    find_others: Callable[[], Awaitable[Collection[str]]] | None = None,
) -> AsyncIterator[Hooks]:
    async with (
        WebhookSender(clock, system_tls) as sender,
        Hooks(
            configured,
            records=records.deliveries,
            senders=make_senders(sender, ProgramRunner(ENVIRONMENT, "/srv"), FileActions()),
            metrics=HookMetrics(series or ReadableSeries()),
            clock=clock,
            find_others=find_others,
        ) as hooks,
    ):
        yield hooks


async def test_each_hook_receives_each_of_its_messages(tmp_path: Path) -> None:
    clock, series = ManualClock(), ReadableSeries()
    async with open_records(tmp_path / "state", clock, hooks=("one", "two")) as records:
        configured = [program_hook(name, tmp_path) for name in ("one", "two")]
        async with open_hooks(records, clock, *configured, series=series) as hooks:
            ids = await finish_downloads(records, 2)
            hooks.wake()
            for name in ("one", "two"):
                await wait_until(lambda name=name: sorted(received(name, tmp_path)) == sorted(ids))
            await wait_until(lambda: has_none_waiting(hooks))
    assert series.value("downloadd_hook_attempts_total", hook="two", outcome="delivered") == 2


async def test_a_start_delivers_at_once_what_an_earlier_process_was_delivering(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_records(tmp_path / "state", clock, hooks=("one",)) as records:
        (id,) = await finish_downloads(records)
        assert await records.deliveries.take("one", now=NOW, latest=NOW, limit=1, lease=3_600)
    async with (
        open_records(tmp_path / "state", clock) as records,
        open_hooks(records, clock, program_hook("one", tmp_path)),
    ):
        await wait_until(lambda: received("one", tmp_path) == [id])
        await wait_until(lambda: is_empty(records))


async def has_none_waiting(hooks: Hooks) -> bool:
    return set((await hooks.waiting()).values()) == {0}


async def test_a_hook_without_waiting_deliveries_is_counted_as_0(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        open_records(tmp_path / "state", clock) as records,
        open_hooks(records, clock, program_hook("idle", tmp_path)) as hooks,
    ):
        assert await hooks.waiting() == {"idle": 0}


async def test_a_removed_hook_loses_its_deliveries_and_the_others_are_attempted_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_records(tmp_path / "state", clock, hooks=("kept", "removed")) as records:
        failing = [program_hook(name, tmp_path, status=1) for name in ("kept", "removed")]
        async with open_hooks(records, clock, *failing) as hooks:
            (id,) = await finish_downloads(records)
            hooks.wake()
            await wait_until(lambda: received("kept", tmp_path) == received("removed", tmp_path) == [id])
            await wait_until(lambda: all_rescheduled(records, clock))
            hooks.configure([program_hook("kept", tmp_path)])
            await wait_until(lambda: received("kept", tmp_path) == [id, id])
            await wait_until(lambda: is_empty(records))
    assert received("removed", tmp_path) == [id]


async def all_rescheduled(records: SqliteRecords, clock: ManualClock) -> bool:
    due = [await records.deliveries.next_due(hook, now=clock.wall()) for hook in ("kept", "removed")]
    return None not in due


async def is_empty(records: SqliteRecords) -> bool:
    return await records.deliveries.waiting() == {}


async def test_messages_of_a_hook_of_another_living_node_stay(tmp_path: Path) -> None:
    clock = ManualClock()

    async def find_others() -> list[str]:
        return ["elsewhere", "kept"]

    async with open_records(tmp_path / "state", clock, hooks=("elsewhere", "kept", "removed")) as records:
        await finish_downloads(records)
        # Another node attempts one; its lease is not taken away.
        assert await records.deliveries.take("kept", now=NOW, latest=NOW, limit=1, lease=20)
        async with open_hooks(records, clock, program_hook("kept", tmp_path), find_others=find_others) as hooks:

            async def are_left() -> bool:
                return await hooks.waiting() == {"elsewhere": 1, "kept": 1}

            await wait_until(are_left)
    assert received("kept", tmp_path) == []
