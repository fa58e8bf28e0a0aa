"""Running downloads as users see them."""

from support.run_parts import STALL_AFTER, RunParts, start_and_stall

from downloadd.manager.run import StopReason


async def test_a_snapshot_is_finer_than_the_row(parts: RunParts) -> None:
    run, performing = await start_and_stall(parts)
    snapshot = run.snapshot()
    assert (snapshot.download.progress.received, snapshot.connections) == (STALL_AFTER, 1)
    assert run.speed == 0.0, "the clock of the test stands still"
    run.stop(StopReason.PAUSE)
    await performing
    assert (run.snapshot().speed, run.speed) == (None, 0.0)
