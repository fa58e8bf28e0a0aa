"""`kill -9` before each write of a download, and again during the recovery."""

import asyncio
import random
from itertools import count
from pathlib import Path

import msgspec
import pytest
from support.crash_runner import CrashResult, ForkServer, QueueView, queue_changed
from support.crash_scenarios import SCENARIOS
from support.crash_trial import CrashTrial
from support.origin.origin import Origin

pytestmark = pytest.mark.timeout(300)

REACHED = {
    "one_file": {"migrate", "mkdir", "pwrite", "commit", "fsync", "link"},
    "small_files_at_once": {"pwrite", "commit", "fsync", "link"},
    "names_that_are_taken": {"open", "pwrite", "pwritev", "commit", "fchmod", "fsync", "link", "rename", "unlink"},
    "copied_file": {"open", "copy_file_range", "commit", "fsync", "link", "unlink"},
    "interrupted_and_retried": {"open", "pwritev", "splice", "rename", "commit", "fsync", "link", "unlink"},
    "segments": {"open", "pwritev", "commit", "fsync", "link", "unlink"},
    "directory_by_response": {"pwrite", "commit", "mkdir", "fsync", "link"},
    "paused_and_resumed": {"open", "pwritev", "commit", "rename", "fsync", "link", "unlink"},
    "renamed_while_running": {"mkdir", "open", "pwritev", "commit", "rename", "fsync", "link", "unlink"},
    "renamed_while_paused": {"open", "pwritev", "commit", "rename", "fsync", "link", "unlink"},
    "cancelled": {"open", "pwritev", "commit", "unlink"},
    "failed_and_retried": {"pwrite", "commit", "fsync", "link"},
    "failed_with_a_part_and_retried": {"open", "pwritev", "commit", "fsync", "rename", "link", "unlink"},
    "failed_and_part_removed": {"open", "pwritev", "commit", "fsync", "unlink"},
}
"""Fault points that each scenario must reach."""


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_kill_before_any_write_loses_duplicates_and_truncates_nothing(
    scenario: str, tmp_path: Path, origin: Origin, fork_servers: list[ForkServer]
) -> None:
    rng = random.Random(scenario)
    reached: list[list[str]] = []

    async def run_trials(fork_server: ForkServer, first: int) -> None:
        for fault_at in count(first, len(fork_servers)):
            trial = CrashTrial(tmp_path / str(fault_at), origin, fork_server, scenario)
            ended = await trial.run(fault_at, from_start=scenario == "one_file")
            if fault_at % 2:
                await trial.recover(rng.randint(1, 16))
            await trial.recover()
            trial.assert_consistent()
            trial.assert_kept_parts_are_whole_so_far()
            trial.assert_pauses_kept()
            trial.assert_names_kept()
            trial.assert_places_kept()
            reached.append(ended.points)
            if not ended.is_killed_early:
                break

    await asyncio.gather(*(run_trials(fork_server, first) for first, fork_server in enumerate(fork_servers, 1)))
    everything = max(reached, key=len)
    assert {point for points in reached for point in points} >= REACHED[scenario]
    if scenario == "segments":
        # A checkpoint was written while more bytes arrived.
        last_piece = len(everything) - everything[::-1].index("pwritev")
        assert "fsync" in everything[everything.index("pwritev") : last_piece]


@pytest.mark.parametrize(("is_recorded", "directory"), [(False, "d"), (True, "films")])
async def test_a_response_after_a_kill_decides_on_rules_only_if_none_did_before(
    tmp_path: Path, origin: Origin, fork_servers: list[ForkServer], is_recorded: bool, directory: str
) -> None:
    whole = CrashTrial(tmp_path / "whole", origin, fork_servers[0], "directory_by_response")
    points = (await whole.run(0, from_start=True)).points
    # The acceptance, the claim, and the decision by the type of the first response.
    decision = [number for number, point in enumerate(points, 1) if point == "commit"][2]
    trial = CrashTrial(tmp_path / "killed", origin, fork_servers[0], "directory_by_response")
    assert (await trial.run(decision + is_recorded, from_start=True)).is_killed_early
    recovered = await trial.recover()
    trial.assert_consistent()
    assert [line.rpartition(" ")[2] for line in recovered.values("row")] == [f"{directory}/typed"]


async def test_a_kill_before_any_write_keeps_order_pauses_gids_and_cleared_results(
    tmp_path: Path, origin: Origin, fork_servers: list[ForkServer]
) -> None:
    def views(ended: CrashResult) -> list[QueueView]:
        return [msgspec.json.decode(line, type=QueueView) for line in ended.values("queue")]

    whole = CrashTrial(tmp_path / "whole", origin, fork_servers[0], queue_changed.__name__)
    expected = views(await whole.run(0))
    kills = [0] * len(fork_servers)

    async def run_trials(number: int, fork_server: ForkServer) -> None:
        for fault_at in count(1 + number, len(fork_servers)):
            trial = CrashTrial(tmp_path / str(fault_at), origin, fork_server, queue_changed.__name__)
            ended = await trial.run(fault_at)
            if not ended.is_killed_early:
                break
            kills[number] += 1
            answered = len(views(ended))
            assert views(ended) == expected[:answered]
            found, paused = views(await trial.look_at_queue())
            assert paused.paused == found.order == paused.order, "a repetition pauses the rest"
            if answered:
                assert_between(found, *expected[answered - 1 : answered + 1])

    await asyncio.gather(*(run_trials(number, fork_server) for number, fork_server in enumerate(fork_servers)))
    # Five acceptances, and eleven changes, of which the last but one takes two transactions.
    assert sum(kills) >= 16


def assert_between(found: QueueView, answered: QueueView, following: QueueView) -> None:
    """Assert that a view is the one that was answered last, or what the next step had done when it was interrupted."""
    assert found.gids.items() <= answered.gids.items() | following.gids.items()
    if following.order == answered.order:
        # A step with several transactions has changed some of the rows.
        assert found.order == answered.order
        assert set(found.paused) ^ set(answered.paused) <= set(following.paused) ^ set(answered.paused)
        assert found.results in (answered.results, following.results)
        return
    cancelled = set(answered.order) - set(following.order)
    orders = [[name for name in view.order if name not in cancelled] for view in (answered, following)]
    assert [name for name in found.order if name not in cancelled] in orders
    assert found.paused == answered.paused
    assert {*found.results} - {*answered.results} == cancelled - {*found.order}


async def test_a_kill_while_another_process_writes_small_files_loses_and_duplicates_nothing(
    tmp_path: Path, origin: Origin, fork_servers: list[ForkServer]
) -> None:
    kills = [0] * len(fork_servers)

    async def run_trials(number: int, fork_server: ForkServer) -> None:
        for fault_at in count(1 + number, len(fork_servers)):
            trial = CrashTrial(
                tmp_path / str(fault_at), origin, fork_server, "small_files_at_once", has_commit_process=True
            )
            ended = await trial.run(fault_at)
            await trial.recover()
            trial.assert_consistent()
            if not ended.is_killed_early:
                break
            kills[number] += 1

    await asyncio.gather(*(run_trials(number, fork_server) for number, fork_server in enumerate(fork_servers)))
    # The acceptance, the claim, the name and the end of each file, some of them together.
    assert sum(kills) > 6
