"""Load of all kinds on one daemon, with samples of its resource usage."""

import asyncio
import os
import random
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
from support.daemon_process import DaemonProcess
from support.origin.content import expected_sha256
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse, error_response

CONCURRENT_USERS: Final = 24
"""Number of users; each does one thing at a time."""
SMALL, BIG, SEGMENTED = 3_000, 5 << 20, 4 << 20


class ResourceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Resources of a process."""

    memory: int
    """Resident bytes."""
    descriptors: int
    threads: int


class Soak:
    """Concurrent users of one daemon."""

    def __init__(self, daemon: DaemonProcess, origin: Origin, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.usage: list[ResourceUsage] = []
        self._daemon = daemon
        self._origin = origin
        self._rng = random.Random(seed)
        self._numbers = count()
        self._requests: Counter[str] = Counter()
        self._stopping = False
        origin.set_fallback(self._answer)

    async def run(self, seconds: float, samples: int, at_least: int = 0) -> None:
        """Run the users for `seconds` and measure the daemon `samples` times; continue until `at_least` outcomes."""
        users = [asyncio.create_task(self._act()) for _ in range(CONCURRENT_USERS)]
        for _ in range(samples):
            await asyncio.sleep(seconds / samples)
            self.usage.append(self._measure())
        while self.outcomes.total() < at_least:
            await asyncio.sleep(seconds / samples)
        self._stopping = True
        await asyncio.gather(*users)

    def _answer(self, request: Request) -> ScriptedResponse:
        kind = request.path.split("/")[1]
        self._requests[request.path] += 1
        first = self._requests[request.path] == 1
        match kind:
            case "missing":
                return error_response(404)
            case "big":
                return ScriptedResponse(size=BIG, etag='"b"')
            case "segments":
                return ScriptedResponse(size=SEGMENTED, etag='"s"')
            case "broken":
                return ScriptedResponse(size=SMALL, etag='"x"', cut_after=SMALL // 2 if first else None)
            case "busy":
                return error_response(503) if first else ScriptedResponse(size=SMALL)
            case "usage":
                return ScriptedResponse(size=SMALL, etag='"h"', stall_after=SMALL // 2 if first else None)
            case _:
                return ScriptedResponse(size=SMALL, seed=1)

    async def _act(self) -> None:
        kinds = ["small"] * 12 + ["missing", "broken", "busy", "hashed", "cancel", "pause", "big", "segments"]
        while not self._stopping:
            kind = self._rng.choice(kinds)
            outcome = await self._one(kind, f"{next(self._numbers)}")
            self.outcomes[f"{kind} {outcome}"] += 1

    async def _one(self, kind: str, name: str) -> str:
        daemon = self._daemon
        path = "usage" if kind in {"cancel", "pause"} else kind
        options: dict[str, Any] = {"filename": f"{kind}-{self._rng.randrange(200)}", "conflict": "overwrite"}
        if kind == "segments":
            options["segments"] = "4"
        if kind == "hashed":
            options["checksum"] = f"sha-256={expected_sha256(1, SMALL)}"
        url = self._origin.url(f"/{path}/{name}")
        if path != "usage":
            _, body = await daemon.fetch("soak", url, **options)
            return str(body["error"] or "completed")
        id = (await daemon.start_download("soak", url, **options))["download_id"]
        await self._origin.wait_requested(f"/{path}/{name}")
        if kind == "cancel":
            await daemon.control(id, "cancel")
        else:
            await daemon.control(id, "pause")
            await daemon.control(id, "resume")
        return str((await daemon.wait_until_finished(id))["status"])

    def _measure(self) -> ResourceUsage:
        assert self._daemon.process is not None
        process = Path(f"/proc/{self._daemon.process.pid}")
        return ResourceUsage(
            memory=self._daemon.resident_bytes(),
            descriptors=len(os.listdir(process / "fd")),
            threads=len(os.listdir(process / "task")),
        )


def assert_flat(usage: list[ResourceUsage]) -> None:
    """Assert that the second half of the samples does not exceed the first half."""
    before, after = usage[: len(usage) // 2], usage[len(usage) // 2 :]
    # The allocator keeps some freed memory.
    assert max(one.memory for one in after) <= max(one.memory for one in before) + (12 << 20), usage
    for kind, slack in (("descriptors", 24), ("threads", 4)):
        most = max(getattr(one, kind) for one in before)
        assert max(getattr(one, kind) for one in after) <= most + slack, (kind, usage)
