"""Short soak test; `python tests/benchmarks/soak.py --minutes 30` runs a longer one."""

import pytest
from faults.soak import Soak, assert_flat
from support.daemon_process import DaemonProcess
from support.origin.origin import Origin
from support.waiting import wait_until

SECONDS = 7
AT_LEAST = 500
"""Number of downloads, enough for each kind to occur."""


@pytest.mark.timeout(240)
async def test_memory_descriptors_and_threads_stay_flat(restartable: DaemonProcess, origin: Origin) -> None:
    await restartable.start()
    soak = Soak(restartable, origin, seed=1)
    await soak.run(SECONDS, samples=14, at_least=AT_LEAST)
    assert await restartable.active() == []
    await wait_until(lambda: restartable.part_files() == [])
    done = soak.outcomes.total()
    assert done >= AT_LEAST, soak.outcomes
    assert len(await restartable.history()) == done
    kinds = {outcome.split()[0]: outcome.split()[1] for outcome in soak.outcomes}
    assert len(kinds) == len(soak.outcomes), f"one kind, one outcome: {soak.outcomes}"
    assert {kind for kind, outcome in kinds.items() if outcome != "completed"} == {"missing", "cancel"}
    assert_flat(soak.usage)
    assert "Traceback" not in restartable.log.read_text()
