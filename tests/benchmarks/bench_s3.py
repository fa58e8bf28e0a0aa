"""Benchmark of uploads to object storage against rclone: same origin, same server (moto), in turns.

Run it as `python tests/benchmarks/bench_s3.py`; it starts nginx, moto and the installed `downloadd` on this machine
alone, and prints medians. It needs `apt install nginx rclone`. The time is that from the command, or the API call,
until the object is there; the daemon has verified the file on the disk before. moto keeps objects in memory and is
written in Python, so that the times of both are mostly its own; their difference is that of the clients.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.daemon_process import DaemonProcess, make_config
from support.nginx_origin import NginxOrigin
from support.object_server import CREDENTIALS, create_bucket, running_object_server

MIB: Final = 1 << 20
BUCKET: Final = "bucket"
SMALL_FILES: Final = 100

Run = Callable[[str], Awaitable[None]]
"""Brings the files of a workload into a directory of the bucket."""


async def measure(run: Run, directory: str) -> float:
    """Return the seconds of a run."""
    started = time.perf_counter()
    await run(directory)
    return time.perf_counter() - started


async def run_command(*command: str, environment: dict[str, str]) -> None:
    """Run a program that must succeed."""
    # This version of rclone takes no bundle of authorities from a variable.
    inherited = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    process = await asyncio.create_subprocess_exec(*command, env={**inherited, **environment})
    if await process.wait():
        raise subprocess.CalledProcessError(process.returncode or 1, command)


async def compare(folder: Path, *, size: int, rounds: int) -> None:
    """Measure both workloads in turns and print the medians."""
    nginx = NginxOrigin(folder / "nginx")
    for name in ("small", "large"):
        (nginx.www / name).mkdir()
    (nginx.www / "large" / "f").write_bytes(os.urandom(size))
    for number in range(SMALL_FILES):
        (nginx.www / "small" / f"{number}").write_bytes(os.urandom(64 * 1024))
    with running_object_server() as endpoint:
        await create_bucket(endpoint, BUCKET)
        with nginx as origin:
            remote = {
                "RCLONE_CONFIG": str(folder / "rclone.conf"),
                "RCLONE_CONFIG_M_TYPE": "s3",
                "RCLONE_CONFIG_M_PROVIDER": "Other",
                "RCLONE_CONFIG_M_ENDPOINT": endpoint,
                "RCLONE_CONFIG_M_ACCESS_KEY_ID": CREDENTIALS.access_key_id,
                "RCLONE_CONFIG_M_SECRET_ACCESS_KEY": CREDENTIALS.secret_access_key,
            }
            config = make_config(max_concurrent=16, max_per_host=16) + (
                f'[[storages]]\npath = "Archive"\nurl = "s3://{BUCKET}"\nendpoint = "{endpoint}"\n'
                f'access_key_id = "{CREDENTIALS.access_key_id}"\n'
                f'secret_access_key = "{CREDENTIALS.secret_access_key}"\n'
            )
            (folder / "daemon").mkdir()
            async with DaemonProcess(folder / "daemon", config=config, may_fork=False) as daemon:

                async def daemon_large(directory: str) -> None:
                    status, answer = await daemon.fetch(f"Archive/{directory}", f"{origin.http}/large/f")
                    assert status == 201, answer

                async def daemon_small(directory: str) -> None:
                    items = [
                        {"url": f"{origin.http}/small/{number}", "directory": f"Archive/{directory}"}
                        for number in range(SMALL_FILES)
                    ]
                    status, answer = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
                    assert status == 201, answer
                    for each in answer["downloads"]:
                        await daemon.wait_for_state(each["download_id"], "completed")

                async def rclone_large(directory: str) -> None:
                    command = ["rclone", "copyurl", f"{origin.http}/large/f", f"m:{BUCKET}/{directory}/f"]
                    await run_command(*command, environment=remote)

                async def rclone_small(directory: str) -> None:
                    names = folder / "names"
                    names.write_text("".join(f"{number}\n" for number in range(SMALL_FILES)))
                    command = ["rclone", "copy", "--transfers", "16", "--http-url", f"{origin.http}/small/"]
                    command += ["--files-from", str(names), "--no-traverse", ":http:", f"m:{BUCKET}/{directory}"]
                    await run_command(*command, environment=remote)

                workloads: dict[str, dict[str, Run]] = {
                    f"one file of {size // MIB} MiB": {"downloadd": daemon_large, "rclone": rclone_large},
                    f"{SMALL_FILES} files of 64 KiB": {"downloadd": daemon_small, "rclone": rclone_small},
                }
                for title, candidates in workloads.items():
                    seconds: dict[str, list[float]] = {name: [] for name in candidates}
                    for number in range(rounds):
                        for name, run in candidates.items():
                            directory = f"{name}-{len(title)}-{number}"
                            seconds[name].append(await measure(run, directory))
                    medians = ", ".join(f"{name} {statistics.median(each):.2f} s" for name, each in seconds.items())
                    print(f"{title}: {medians}")


def main() -> None:
    """Parse the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="MiB of the large file")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder), size=arguments.size * MIB, rounds=arguments.rounds))


if __name__ == "__main__":
    main()
