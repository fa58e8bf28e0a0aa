"""Lookup of downloads by gid."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.manager_stack import ManagerStack, open_stack
from support.stored_downloads import added, sample_download

from downloadd.errors import NotFoundError
from downloadd.gid import GidNotUniqueError, make_gid
from downloadd.manager.gid_lookup import GidLookup
from downloadd.states import State


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path) as stack:
        yield stack


@pytest.fixture
def gids(stack: ManagerStack) -> GidLookup:
    return GidLookup(stack.records.gids, stack.runs)


async def test_a_download_is_found_as_it_is_now(stack: ManagerStack, gids: GidLookup) -> None:
    (paused, failed) = await added(
        stack.records, sample_download(state=State.PAUSED), sample_download(state=State.FAILED)
    )
    found = await gids.find(paused.gid)
    assert (found.download, found.reason) == (paused, "paused by a user")
    assert (await gids.find(failed.gid[:5])).download == failed


@pytest.mark.parametrize("gid", [make_gid(3), "0" * 16, "", "nonsense", make_gid(1).upper()])
async def test_other_texts_find_nothing(stack: ManagerStack, gids: GidLookup, gid: str) -> None:
    await added(stack.records, sample_download(state=State.PAUSED))
    with pytest.raises(NotFoundError):
        await gids.find(gid)


async def test_a_prefix_of_several_is_not_unique(stack: ManagerStack, gids: GidLookup) -> None:
    rows = await added(stack.records, *(sample_download(state=State.PAUSED) for _ in range(17)))
    assert rows[0].gid[0] == rows[16].gid[0]
    with pytest.raises(GidNotUniqueError, match="several gids begin with 5; state more digits"):
        await gids.find(rows[0].gid[0])
