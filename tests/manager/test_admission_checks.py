"""Checks of names and gids at the acceptance."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.downloads import with_fields
from support.sample_downloads import sample_download
from support.stored_downloads import added

from downloadd.download import Conflict, Download
from downloadd.errors import FileExistsAlreadyError, InvalidParameterError, InvalidPathError
from downloadd.gid import make_gid
from downloadd.manager.admission_checks import AdmissionChecks
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.local import LocalDestination

GID = "abc0123456789def"


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", ManualClock()) as records:
        yield records


@pytest.fixture
async def checks(tmp_path: Path, records: SqliteRecords) -> AsyncIterator[AdmissionChecks]:
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        yield AdmissionChecks(destination, records.gids)


def chosen(gid: str | None = GID) -> Download:
    return with_fields(sample_download(1), gid=gid)


async def is_refused(checks: AdmissionChecks, gid: str | None = GID) -> bool:
    with checks.reserving_gids() as gids:
        try:
            await checks.reserve_gid(chosen(gid), gids)
        except InvalidParameterError:
            return True
    return False


async def test_a_gid_may_be_chosen_once(checks: AdmissionChecks, records: SqliteRecords) -> None:
    assert not await is_refused(checks)
    # Nothing was recorded with it.
    assert not await is_refused(checks)
    await added(records, chosen())
    assert await is_refused(checks)
    assert not await is_refused(checks, None)


async def test_a_gid_of_a_number_may_not_be_chosen(checks: AdmissionChecks) -> None:
    assert await is_refused(checks, make_gid(1))


async def test_a_gid_that_is_not_required_is_left_out_if_it_is_taken(
    checks: AdmissionChecks, records: SqliteRecords
) -> None:
    with checks.reserving_gids() as gids:
        assert await checks.reserve_gid(chosen(), gids, is_required=False) == chosen()
        assert await checks.reserve_gid(chosen(), gids, is_required=False) == chosen(None)
    await added(records, chosen())
    with checks.reserving_gids() as gids:
        assert await checks.reserve_gid(chosen(), gids, is_required=False) == chosen(None)
        assert await checks.reserve_gid(chosen(make_gid(1)), gids, is_required=False) == chosen(None)


async def test_one_of_the_requests_at_the_same_time_gets_the_gid(checks: AdmissionChecks) -> None:
    with checks.reserving_gids() as gids:
        await checks.reserve_gid(chosen(), gids)
        assert await asyncio.gather(*(is_refused(checks) for _ in range(3))) == [True] * 3
        with pytest.raises(InvalidParameterError, match="another download has it; choose another one"):
            await checks.reserve_gid(chosen(), gids)
    assert not await is_refused(checks)


async def test_a_name_that_is_taken_or_too_long_is_refused(checks: AdmissionChecks, tmp_path: Path) -> None:
    (tmp_path / "root" / "taken").write_bytes(b"")
    taken = with_fields(sample_download(1), directory="", requested_name="taken")
    await checks.check_name(taken)
    with pytest.raises(FileExistsAlreadyError):
        await checks.check_name(with_fields(taken, conflict=Conflict.ERROR))
    await checks.check_name(with_fields(taken, conflict=Conflict.ERROR, requested_name="free"))
    with pytest.raises(InvalidPathError):
        await checks.check_name(with_fields(taken, requested_name="x" * 256))
