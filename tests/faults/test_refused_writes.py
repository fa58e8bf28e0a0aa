"""A disk that is full, broken or read-only at any one write of a download's life, and in order again a moment later."""

import asyncio
from itertools import count, cycle
from pathlib import Path

import pytest
from faults.lives import PLOTS, Nursery, recovery
from faults.trials import Trial
from origin.origin import Origin

FAULTS = [("ENOSPC", 1), ("EIO", 1), ("EROFS", 3), ("ENOSPC", 3), ("EIO", 3)]
"""What is said, and to how many calls in a row."""


@pytest.mark.parametrize("plot", [name for name in PLOTS if name != recovery.__name__])
async def test_whatever_write_is_refused_users_are_told_and_everything_else_goes_on(
    plot: str, tmp_path: Path, origin: Origin, nurseries: list[Nursery]
) -> None:
    refused: list[str] = []

    async def lane(nursery: Nursery, first: int) -> None:
        faults = cycle(FAULTS)
        for strike_at in count(first, len(nurseries)):
            trial = Trial(tmp_path / str(strike_at), origin, nursery, plot)
            fault, lifted_after = next(faults)
            ended = await trial.live(strike_at, fault=fault, lifted_after=lifted_after)
            await trial.recover()
            trial.judge()
            refused.extend(ended.told("refuse"))
            if not ended.told("refuse"):
                break

    await asyncio.gather(*(lane(nursery, first) for first, nursery in enumerate(nurseries, 1)))
    assert len(refused) > 10
