"""Check of the final name before bytes are received."""

from pathlib import Path

import pytest
from support.sample_downloads import sample_download

from downloadd.download import Conflict
from downloadd.errors import FileExistsAlreadyError, InvalidPathError
from downloadd.storage.local import LocalDestination
from downloadd.transfer.name_conflicts import is_skipped


@pytest.mark.parametrize("conflict", Conflict)
async def test_a_free_name_is_never_skipped(destination: LocalDestination, conflict: Conflict) -> None:
    assert not await is_skipped(sample_download(directory="d", conflict=conflict), destination)


async def test_a_taken_name_is_skipped_refused_or_left_to_publication(
    destination: LocalDestination, tmp_path: Path
) -> None:
    (tmp_path / "a").touch()
    assert await is_skipped(sample_download(conflict=Conflict.SKIP), destination)
    with pytest.raises(FileExistsAlreadyError) as refused:
        await is_skipped(sample_download(conflict=Conflict.ERROR), destination)
    assert refused.value.path == "a"
    for conflict in (Conflict.RENAME, Conflict.OVERWRITE):
        assert not await is_skipped(sample_download(conflict=conflict), destination)


@pytest.mark.parametrize("filename", ["../f", "/etc/f", "\udcff", ".."])
async def test_a_name_that_leads_out_of_the_root_is_refused_also_from_a_record(
    destination: LocalDestination, filename: str
) -> None:
    with pytest.raises(InvalidPathError):
        await is_skipped(sample_download(filename=filename, conflict=Conflict.SKIP), destination)
