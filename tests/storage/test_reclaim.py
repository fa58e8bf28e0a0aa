"""Repetition of a call that lacks space."""

import pytest

from downloadd.errors import InsufficientStorageError
from downloadd.storage.reclaim import reclaim_nothing, with_reclaimed_space


class Disk:
    """Disk that lacks space, with kept files that each have one byte."""

    def __init__(self, *, missing: int | None, kept: int) -> None:
        self.missing = missing
        self.kept = kept
        self.calls = 0
        self.requests: list[tuple[str, int]] = []

    async def write(self) -> str:
        self.calls += 1
        if self.missing is None or self.missing > 0:
            raise InsufficientStorageError("full", missing=self.missing, directory="d")
        return "written"

    async def reclaim(self, directory: str, nbytes: int) -> bool:
        self.requests.append((directory, nbytes))
        if not self.kept or self.missing is None:
            return False
        self.kept -= 1
        self.missing -= 1
        return True


async def test_a_call_is_repeated_until_it_has_space() -> None:
    disk = Disk(missing=2, kept=5)
    assert await with_reclaimed_space(disk.write, disk.reclaim) == "written"
    assert disk.requests == [("d", 2), ("d", 1)]
    assert disk.kept == 3


async def test_a_call_is_refused_when_nothing_can_be_removed_any_more() -> None:
    disk = Disk(missing=2, kept=1)
    with pytest.raises(InsufficientStorageError):
        await with_reclaimed_space(disk.write, disk.reclaim)
    assert disk.calls == 2


async def test_a_call_that_may_have_written_something_is_not_repeated() -> None:
    disk = Disk(missing=None, kept=5)
    with pytest.raises(InsufficientStorageError):
        await with_reclaimed_space(disk.write, disk.reclaim)
    assert (disk.calls, disk.requests) == (1, [])


async def test_without_kept_files_a_call_is_refused_at_once() -> None:
    disk = Disk(missing=1, kept=5)
    with pytest.raises(InsufficientStorageError):
        await with_reclaimed_space(disk.write, reclaim_nothing)
    assert disk.calls == 1
