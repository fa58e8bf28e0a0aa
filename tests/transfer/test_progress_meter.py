import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.progress_meter import SAMPLE_SECONDS, SPEED_WINDOW_SECONDS, ProgressMeter


def steady(rate: int, seconds: float, *, start: float = 100.0, every: float = 0.1) -> tuple[ProgressMeter, float]:
    """Return the meter of a transfer of `rate` bytes a second, and the time now."""
    progress, pieces = ProgressMeter(), round(seconds / every)
    for n in range(pieces + 1):
        progress.add(round(rate * every), now=start + n * every)
    return progress, start + pieces * every


def test_received_bytes_are_added_to_earlier_ones() -> None:
    progress = ProgressMeter()
    progress.reset(400)
    for n in range(10):
        progress.add(10, now=float(n))
    assert progress.received == 500


@pytest.mark.parametrize("seconds", [1.0, 3.0, 60.0])
def test_a_steady_transfer_has_its_speed(seconds: float) -> None:
    progress, now = steady(10_000, seconds)
    assert progress.speed(now) == pytest.approx(10_000, rel=0.1)


def test_bytes_of_earlier_attempts_have_no_speed() -> None:
    progress = ProgressMeter()
    progress.reset(1_000_000)
    progress.add(10, now=0.0)
    progress.add(100, now=1.0)
    assert progress.speed(1.0) == pytest.approx(100)


def test_the_speed_is_unknown_at_the_start() -> None:
    progress = ProgressMeter()
    assert progress.speed(0.0) is None
    progress.add(1_000_000, now=5.0)
    assert progress.speed(5.0) is None
    assert progress.speed(5.0 + SAMPLE_SECONDS) == 0


def test_the_speed_follows_a_change_within_the_window() -> None:
    progress, now = steady(10_000, 30)
    for _ in range(60):
        now += 0.1
        progress.add(100_000 // 10, now=now)
    assert progress.speed(now) == pytest.approx(100_000, rel=0.1)


def test_a_stalled_transfer_slows_down_to_zero_within_the_window() -> None:
    progress, now = steady(10_000, 30)
    halfway, stalled = progress.speed(now + SPEED_WINDOW_SECONDS / 2), progress.speed(now + SPEED_WINDOW_SECONDS)
    assert halfway == pytest.approx(5_000, rel=0.1)
    assert stalled == 0
    assert progress.speed(now + 1000) == 0


def test_a_stall_affects_the_speed_no_longer_than_the_window() -> None:
    progress, now = steady(10_000, 30)
    now += 600
    for _ in range(round(SPEED_WINDOW_SECONDS / 0.1) + 1):
        progress.add(1000, now=now)
        now += 0.1
    assert progress.speed(now) == pytest.approx(10_000, rel=0.1)


def test_the_remaining_time_is_that_of_the_missing_bytes_at_this_speed() -> None:
    progress, now = steady(10_000, 10)
    assert progress.eta(progress.speed(now)) is None
    progress.total = progress.received + 50_000
    assert progress.eta(progress.speed(now)) == pytest.approx(5, rel=0.1)


def test_the_remaining_time_of_a_complete_transfer_is_zero() -> None:
    progress = ProgressMeter()
    progress.total = 0
    assert progress.eta(progress.speed(0.0)) == 0


def test_a_transfer_that_does_not_move_has_no_remaining_time() -> None:
    progress, now = steady(10_000, 10)
    progress.total = progress.received + 1
    assert progress.eta(progress.speed(now + SPEED_WINDOW_SECONDS)) is None


def test_starting_over_resets_speed_and_total() -> None:
    progress, now = steady(10_000, 10)
    progress.total = 10**6
    progress.reset(0)
    assert progress.received == 0
    assert progress.speed(now) is None
    assert progress.eta(progress.speed(now)) is None
    progress.add(5, now=now)
    progress.add(50, now=now + 1)
    assert progress.speed(now + 1) == pytest.approx(50)


PIECES = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 10**9)), max_size=60)


@given(pieces=PIECES, later=st.floats(0, 20))
def test_the_speed_is_between_zero_and_all_received_bytes(pieces: list[tuple[float, int]], later: float) -> None:
    progress, now = ProgressMeter(), 1000.0
    for pause, nbytes in pieces:
        now += pause
        progress.add(nbytes, now=now)
    now += later
    assert progress.received == sum(nbytes for _, nbytes in pieces)
    speed = progress.speed(now)
    assert speed is None or 0 <= speed <= progress.received / SAMPLE_SECONDS


@pytest.mark.parametrize("every", [0.001, 0.1, 1.0])
def test_samples_stay_few(every: float) -> None:
    progress, _ = steady(10_000, 60, every=every)
    assert len(progress._samples) <= SPEED_WINDOW_SECONDS / SAMPLE_SECONDS + 1
