from hypothesis import given
from hypothesis import strategies as st

from downloadd.manager.rate import LARGEST_PORTION, SMALLEST_PORTION, DownloadPace, RateLimit


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@given(
    rate=st.integers(1_000, 10**9),
    pieces=st.lists(st.integers(1, 1 << 20), min_size=1, max_size=200),
)
def test_whoever_waits_as_told_keeps_the_rate(rate: int, pieces: list[int]) -> None:
    limit, now = RateLimit(rate), 0.0
    for piece in pieces:
        now += limit.take(piece, now=now)
    assert now >= sum(pieces) / rate * 0.999
    assert now <= sum(pieces) / rate * 1.001


def test_an_idle_phase_is_not_made_up_for_by_a_burst() -> None:
    limit = RateLimit(1000)
    limit.take(1000, now=0)
    assert limit.take(1000, now=3600) >= 1 - RateLimit.BURST


def test_no_limit_never_waits() -> None:
    assert RateLimit(0).take(1 << 40, now=0) == 0


def test_a_changed_rate_holds_from_the_next_byte_on() -> None:
    limit = RateLimit(10)
    assert limit.take(1000, now=0) == 100
    limit.rate = 1000
    assert limit.take(1000, now=0) == 1
    limit.rate = 0
    assert limit.take(1000, now=0) == 0


def test_the_stricter_limit_holds() -> None:
    clock = Hands()
    assert DownloadPace(RateLimit(1000), RateLimit(10), clock).take(1000) == 100
    assert DownloadPace(RateLimit(10), RateLimit(1000), clock).take(1000) == 100
    assert DownloadPace(RateLimit(0), RateLimit(0), clock).take(1000) == 0


def test_downloads_share_the_limit_over_all() -> None:
    clock, shared = Hands(), RateLimit(1000)
    first, second = DownloadPace(RateLimit(0), shared, clock), DownloadPace(RateLimit(0), shared, clock)
    assert first.take(1000) == 1
    assert second.take(1000) == 2


@given(own=st.integers(0, 10**12), shared=st.integers(0, 10**12))
def test_portions_are_small_enough_to_be_smooth(own: int, shared: int) -> None:
    portion = DownloadPace(RateLimit(own), RateLimit(shared), Hands()).portion()
    if own == shared == 0:
        assert portion == -1
    else:
        assert SMALLEST_PORTION <= portion <= LARGEST_PORTION


def test_a_limit_can_be_given_and_taken_while_running() -> None:
    pace = DownloadPace(RateLimit(0), RateLimit(0), Hands())
    pace.limit(100)
    assert pace.take(100) == 1
    pace.limit(0)
    assert pace.portion() == -1
