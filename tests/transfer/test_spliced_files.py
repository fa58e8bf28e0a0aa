"""Origins that change at random: no file of bytes of two versions, where there is proof or any sign of the change."""

import asyncio
import tempfile
from base64 import b64encode
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted_session import Answer, ScriptedFile, ScriptedSession
from transfer.test_attempt import Transfers

from downloadd.download import ResumedBy
from downloadd.errors import ChecksumMismatchError
from downloadd.manager.verification import verify_digests
from downloadd.storage.local import LocalDestination
from downloadd.transfer.attempt import FetchResult
from downloadd.transfer.resume import RangeRequest

pytestmark = pytest.mark.system

SIZE: Final = 300_000
LAST_BYTES: Final = 100
MAX_ATTEMPTS: Final = 8
OLD_DATES: Final = [f"Sun, {day:02d} Nov 1994 08:49:37 GMT" for day in range(1, 20)]
FRESH_DATES: Final = [f"Tue, 14 Nov 2023 22:13:{second:02d} GMT" for second in range(20)]

SIGNS: Final = {
    "strong tag": lambda number, content: {"ETag": f'"{number}"'},
    "weak tag": lambda number, content: {"ETag": f'W/"{number}"'},
    "strong date": lambda number, content: {"Last-Modified": OLD_DATES[number]},
    "weak date": lambda number, content: {"Last-Modified": FRESH_DATES[number]},
    "digest": lambda number, content: {"Repr-Digest": f"sha-256=:{b64encode(sha256(content).digest()).decode()}:"},
}
"""Fields that a version has, and that are others for another version."""

CONSTANT: Final[dict[str, dict[str, str]]] = {
    "nothing": {},
    "a weak tag": {"ETag": 'W/"same"'},
    "a weak date": {"Last-Modified": FRESH_DATES[0]},
}
"""Fields that show nothing of a change."""


class Edit(msgspec.Struct, frozen=True):
    """Change of some bytes, and of the last ones, of one version to the next: both ends of a splice are different."""

    place: float
    """From [0, 1)."""
    size: int
    seed: int

    def apply(self, content: bytes) -> bytes:
        start, random = int(self.place * len(content)), Random(self.seed)
        patch = random.randbytes(self.size)[: len(content) - start]
        changed = content[:start] + patch + content[start + len(patch) :]
        return changed[:-LAST_BYTES] + random.randbytes(LAST_BYTES)


class Scenario(msgspec.Struct, frozen=True):
    """Versions of a file, and the order in which requests get them."""

    zero_regions: list[tuple[float, float]]
    edits: list[Edit]
    growth: list[int]
    turns: list[int]
    """Version for each request, modulo their number; the last one for all later requests."""
    cuts: list[int]
    """Bytes after which the connection of each request breaks."""

    def versions(self) -> list[bytes]:
        content = bytearray(Random(0).randbytes(SIZE))
        for start, length in self.zero_regions:
            first, last = int(start * SIZE), min(SIZE, int((start + length) * SIZE))
            content[first:last] = bytes(last - first)
        versions = [bytes(content)]
        for number, edit in enumerate(self.edits):
            grown = versions[-1] + bytes(self.growth[number] if number < len(self.growth) else 0)
            versions.append(edit.apply(grown))
        return versions


EDITS = st.builds(Edit, st.floats(0, 1, exclude_max=True), st.integers(1, 20_000), st.integers(1, 100))
SCENARIOS = st.builds(
    Scenario,
    zero_regions=st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 1)), max_size=2),
    edits=st.lists(EDITS, min_size=1, max_size=3),
    growth=st.just([]) | st.lists(st.integers(0, 2), max_size=3),
    turns=st.lists(st.integers(0, 3), min_size=1, max_size=20)
    # Some bytes of the first version, and all others of the second one.
    | st.just([0, 1]),
    cuts=st.lists(st.integers(1, SIZE), min_size=1, max_size=20) | st.lists(st.integers(SIZE // 2, SIZE), min_size=1),
)


class ChangingOrigin:
    """Origin that answers each request with the version whose turn it is."""

    def __init__(self, scenario: Scenario, fields: list[dict[str, str]]) -> None:
        self.versions = scenario.versions()
        self._scenario = scenario
        self._fields = fields
        self._count = 0
        self.has_breaks = True

    def answer(self, request: RangeRequest) -> Answer:
        turns, cuts = self._scenario.turns, self._scenario.cuts
        number = turns[min(self._count, len(turns) - 1)] % len(self.versions)
        file = ScriptedFile(self.versions[number])
        file.fields = self._fields[number]
        file.cut_after = cuts[self._count % len(cuts)] if self.has_breaks else None
        self._count += 1
        return file.answer(request)


async def download(origin: ChangingOrigin, *, allows_overlap: bool) -> tuple[bytes, ResumedBy | None] | None:
    """Return the bytes that the daemon would publish after some breaks, and the evidence; None if it publishes none."""
    with tempfile.TemporaryDirectory() as folder:
        async with LocalDestination(folder, min_free=0, fsync=False) as destination:
            transfers = Transfers(destination, Path(folder))
            transfers.allows_overlap = allows_overlap
            for number in range(MAX_ATTEMPTS):
                origin.has_breaks = number < MAX_ATTEMPTS - 2
                if await transfers.fetch(ScriptedSession(origin.answer)) is FetchResult.COMPLETE:
                    return await verified(transfers)
    return None


async def verified(transfers: Transfers) -> tuple[bytes, ResumedBy | None] | None:
    content, attempt = transfers.part(), transfers.attempt
    assert attempt is not None
    part = await transfers.destination.open_part(
        directory="",
        filename=transfers.filename,
        download_id=transfers.row.id,
        epoch=transfers.row.epoch + 1,
        existing=transfers.row.progress.part_name,
    )
    try:
        await verify_digests(part, transfers.row, attempt.algorithms)
    except ChecksumMismatchError:
        return None
    finally:
        await part.close()
    return content, transfers.row.progress.resumed_by


def fields_of(versions: list[bytes], kind: str, constant: str) -> list[dict[str, str]]:
    make: Any = SIGNS[kind]
    return [{**CONSTANT[constant], **make(number, content)} for number, content in enumerate(versions)]


@given(scenario=SCENARIOS, kind=st.sampled_from(sorted(SIGNS)), constant=st.sampled_from(sorted(CONSTANT)))
def test_with_any_sign_of_a_change_no_spliced_file_is_published(scenario: Scenario, kind: str, constant: str) -> None:
    versions = scenario.versions()
    origin = ChangingOrigin(scenario, fields_of(versions, kind, constant))
    published = asyncio.run(download(origin, allows_overlap=True))
    assert published is None or published[0] in versions


@given(scenario=SCENARIOS, constant=st.sampled_from(sorted(CONSTANT)))
def test_with_another_length_no_spliced_file_is_published(scenario: Scenario, constant: str) -> None:
    scenario = msgspec.structs.replace(scenario, growth=[1] * len(scenario.edits))
    versions = scenario.versions()
    assert all(len(first) < len(second) for first, second in pairwise(versions))
    origin = ChangingOrigin(scenario, [CONSTANT[constant]] * len(versions))
    published = asyncio.run(download(origin, allows_overlap=True))
    assert published is None or published[0] in versions


@given(
    scenario=SCENARIOS,
    kind=st.none() | st.sampled_from(sorted(SIGNS)),
    constant=st.sampled_from(sorted(CONSTANT)),
)
def test_a_strict_daemon_publishes_no_spliced_file(scenario: Scenario, kind: str | None, constant: str) -> None:
    versions = scenario.versions()
    fields = [CONSTANT[constant]] * len(versions) if kind is None else fields_of(versions, kind, constant)
    published = asyncio.run(download(ChangingOrigin(scenario, fields), allows_overlap=False))
    assert published is None or published[0] in versions
    assert published is None or published[1] is not ResumedBy.OVERLAP


@given(scenario=SCENARIOS, constant=st.sampled_from(sorted(CONSTANT)))
def test_a_change_without_any_sign_is_spliced_only_where_the_history_says_that_bytes_were_compared(
    scenario: Scenario, constant: str
) -> None:
    versions = scenario.versions()
    origin = ChangingOrigin(scenario, [CONSTANT[constant]] * len(versions))
    published = asyncio.run(download(origin, allows_overlap=True))
    if published is not None and published[0] not in versions:
        assert published[1] is ResumedBy.OVERLAP
