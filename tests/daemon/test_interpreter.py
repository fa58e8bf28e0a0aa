import asyncio
import subprocess
import sys

from downloadd.daemon.interpreter import GC_THRESHOLD, SWITCH_INTERVAL_SECONDS, event_loop_factory


def test_tuning_sets_the_switch_interval_and_the_collector() -> None:
    script = (
        "import gc, sys; from downloadd.daemon.interpreter import tune_interpreter; tune_interpreter();"
        "print(sys.getswitchinterval(), gc.get_threshold()[0])"
    )
    done = subprocess.run([sys.executable, "-Ic", script], capture_output=True, text=True, check=True)
    interval, threshold = done.stdout.split()
    assert abs(float(interval) - SWITCH_INTERVAL_SECONDS) < 1e-6
    assert int(threshold) == GC_THRESHOLD


def test_the_factory_makes_event_loops() -> None:
    factory = event_loop_factory() or asyncio.new_event_loop
    loop = factory()
    try:
        assert loop.run_until_complete(asyncio.sleep(0, "done")) == "done"
    finally:
        loop.close()
