"""Everything that users do, all at once and for a long time, and what the daemon holds meanwhile."""

import asyncio
import os
import random
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
from daemon_process import DaemonProcess
from origin.answer import Answer, failure
from origin.content import expected_sha256
from origin.origin import Origin, Request

AT_ONCE: Final = 24
"""Users, each with one thing in hand."""
SMALL, BIG, SEGMENTED = 3_000, 5 << 20, 4 << 20


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a process holds."""

    memory: int
    """Resident bytes."""
    descriptors: int
    threads: int


class Soak:
    """Users of one daemon, who go on until they are told to stop."""

    def __init__(self, daemon: DaemonProcess, origin: Origin, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.held: list[Held] = []
        self._daemon = daemon
        self._origin = origin
        self._chance = random.Random(seed)
        self._numbers = count()
        self._requests: Counter[str] = Counter()
        self._stopping = False
        origin.fall_back_to(self._answer)

    async def go_on(self, seconds: float, samples: int) -> None:
        """Lets the users act for so long, and looks at the daemon so many times meanwhile."""
        users = [asyncio.create_task(self._act()) for _ in range(AT_ONCE)]
        for _ in range(samples):
            await asyncio.sleep(seconds / samples)
            self.held.append(self._look())
        self._stopping = True
        await asyncio.gather(*users)

    def _answer(self, request: Request) -> Answer:
        kind = request.path.split("/")[1]
        self._requests[request.path] += 1
        first = self._requests[request.path] == 1
        match kind:
            case "missing":
                return failure(404)
            case "big":
                return Answer(size=BIG, etag='"b"')
            case "segments":
                return Answer(size=SEGMENTED, etag='"s"')
            case "broken":
                return Answer(size=SMALL, etag='"x"', cut_after=SMALL // 2 if first else None)
            case "busy":
                return failure(503) if first else Answer(size=SMALL)
            case "held":
                return Answer(size=SMALL, etag='"h"', stall_after=SMALL // 2 if first else None)
            case _:
                return Answer(size=SMALL, seed=1)

    async def _act(self) -> None:
        kinds = ["small"] * 12 + ["missing", "broken", "busy", "hashed", "cancel", "pause", "big", "segments"]
        while not self._stopping:
            kind = self._chance.choice(kinds)
            outcome = await self._one(kind, f"{next(self._numbers)}")
            self.outcomes[f"{kind} {outcome}"] += 1

    async def _one(self, kind: str, name: str) -> str:
        daemon = self._daemon
        path = "held" if kind in {"cancel", "pause"} else kind
        options: dict[str, Any] = {"filename": f"{kind}-{self._chance.randrange(200)}", "conflict": "overwrite"}
        if kind == "segments":
            options["segments"] = "4"
        if kind == "hashed":
            options["checksum"] = f"sha-256={expected_sha256(1, SMALL)}"
        url = self._origin.url(f"/{path}/{name}")
        if path != "held":
            _, body = await daemon.fetch("soak", url, **options)
            return str(body["error"] or "completed")
        id = (await daemon.start_download("soak", url, **options))["download_id"]
        await self._origin.requested(f"/{path}/{name}")
        if kind == "cancel":
            await daemon.verb(id, "cancel")
        else:
            await daemon.verb(id, "pause")
            await daemon.verb(id, "resume")
        return str((await daemon.ended(id))["status"])

    def _look(self) -> Held:
        assert self._daemon.process is not None
        process = Path(f"/proc/{self._daemon.process.pid}")
        return Held(
            memory=self._daemon.resident_bytes(),
            descriptors=len(os.listdir(process / "fd")),
            threads=len(os.listdir(process / "task")),
        )


def assert_flat(held: list[Held]) -> None:
    """In the second half nothing has grown beyond what the first half had needed."""
    before, after = held[: len(held) // 2], held[len(held) // 2 :]
    # The allocator keeps some of what once was needed.
    assert max(one.memory for one in after) <= max(one.memory for one in before) + (12 << 20), held
    for kind, slack in (("descriptors", 24), ("threads", 4)):
        most = max(getattr(one, kind) for one in before)
        assert max(getattr(one, kind) for one in after) <= most + slack, (kind, held)
