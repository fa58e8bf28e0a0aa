"""Soak test of any length: `python tests/benchmarks/soak.py --minutes 30`."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.soak import Soak, assert_flat
from support.daemon_process import DaemonProcess
from support.origin.origin import Origin


async def main(minutes: float) -> None:
    """Run the soak test and print the resource usage over time."""
    with tempfile.TemporaryDirectory() as folder:
        async with Origin() as origin, DaemonProcess(Path(folder), may_fork=False) as daemon:
            soak = Soak(daemon, origin, seed=1)
            await soak.run(minutes * 60, samples=max(10, round(minutes * 6)))
            print("MiB   descriptors   threads")
            for usage in soak.usage:
                print(f"{usage.memory / (1 << 20):.0f}   {usage.descriptors}   {usage.threads}")
            print(f"{soak.outcomes.total()} downloads: {dict(soak.outcomes)}")
            assert_flat(soak.usage)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    asyncio.run(main(parser.parse_args().minutes))
