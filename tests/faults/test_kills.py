"""Kill -9 between any two writes of a download's life, and again while what it left is put in order."""

import asyncio
import random
from itertools import count
from pathlib import Path

import pytest
from faults.lives import PLOTS, Nursery, recovery
from faults.trials import Trial
from origin.origin import Origin

REACHED = {
    "one_file": {"migrate", "mkdir", "open", "pwritev", "commit", "fchmod", "fsync", "link", "unlink"},
    "names_that_are_taken": {"open", "pwritev", "commit", "fchmod", "fsync", "link", "rename", "unlink"},
    "broken_and_tried_again": {"open", "pwritev", "splice", "rename", "commit", "fsync", "link", "unlink"},
    "segments": {"open", "pwritev", "commit", "fsync", "link", "unlink"},
    "paused_and_resumed": {"open", "pwritev", "commit", "rename", "fsync", "link", "unlink"},
    "cancelled": {"open", "pwritev", "commit", "unlink"},
    "failed_and_retried": {"open", "pwritev", "commit", "fsync", "link", "unlink"},
}
"""What each plot is there to come by."""


@pytest.mark.parametrize("plot", [name for name in PLOTS if name != recovery.__name__])
async def test_whatever_write_a_kill_comes_before_nothing_is_lost_doubled_or_cut_short(
    plot: str, tmp_path: Path, origin: Origin, nurseries: list[Nursery]
) -> None:
    chance = random.Random(plot)
    reached: list[list[str]] = []

    async def lane(nursery: Nursery, first: int) -> None:
        for die_at in count(first, len(nurseries)):
            trial = Trial(tmp_path / str(die_at), origin, nursery, plot)
            ended = await trial.live(die_at, from_birth=plot == "one_file")
            if die_at % 2:
                await trial.recover(chance.randint(1, 16))
            await trial.recover()
            trial.judge()
            trial.judge_pause()
            reached.append(ended.points)
            if not ended.killed_early:
                break

    await asyncio.gather(*(lane(nursery, first) for first, nursery in enumerate(nurseries, 1)))
    everything = max(reached, key=len)
    assert {point for points in reached for point in points} >= REACHED[plot]
    if plot == "segments":
        # It was written down what had come, while more was coming.
        last_piece = len(everything) - everything[::-1].index("pwritev")
        assert "fsync" in everything[everything.index("pwritev") : last_piece]
