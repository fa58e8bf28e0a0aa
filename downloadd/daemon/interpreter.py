"""Tuning of the Python interpreter and choice of the event loop."""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Final

from prometheus_client import disable_created_metrics

GC_THRESHOLD: Final = 20_000
"""Objects allocated more than freed before the collector visits the youngest ones; the default spends a quarter of the
time of an accept on it."""
SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""Seconds that a thread may keep the interpreter; the default adds 5 ms to each accept, which waits for the thread of
the records."""


def tune_interpreter() -> None:
    """Shorten the thread switch interval, and let the garbage collector run rarely."""
    # The time at which each counter was created doubles the lines of the metrics, and no alert uses it.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.set_threshold(GC_THRESHOLD, 20, 20)


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory of event loops; None for asyncio's own if uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
