import time

from downloadd.clock import SystemClock


def test_wall_time_is_unix_time() -> None:
    before = time.time()
    assert before <= SystemClock().wall() <= time.time()


def test_monotonic_time_never_decreases() -> None:
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)
