"""Average speed over the last seconds."""

import pytest

from downloadd.transfer.speed_window import SpeedWindow


def speeds(*samples: tuple[float, int]) -> list[float | None]:
    window = SpeedWindow(10)
    return [window.add(received, now=now) for now, received in samples]


def test_there_is_no_speed_before_the_window_is_full() -> None:
    assert speeds((0, 0), (5, 100), (9.9, 200)) == [None, None, None]


def test_the_speed_is_the_average_over_the_window() -> None:
    assert speeds((0, 0), (10, 100), (20, 100), (30, 600)) == [None, 10, 0, 50]


def test_older_samples_do_not_count() -> None:
    assert speeds((0, 0), (1, 1_000_000), (11, 1_000_000))[-1] == 0


@pytest.mark.parametrize("now", [5, 4])
def test_a_clock_that_stands_still_adds_nothing(now: float) -> None:
    assert speeds((0, 0), (5, 50), (now, 900), (10, 900)) == [None, None, None, 90]
