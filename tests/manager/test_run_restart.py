"""Changes that wait for the end of a run."""

import asyncio

import pytest
from support.sample_downloads import sample_download

from downloadd.download import Download
from downloadd.errors import InvalidStateError, ShuttingDownError
from downloadd.manager.run_restart import Change, RestartRequest

DOWNLOAD = sample_download(1)


def change(row: Download) -> Download:
    return row.with_control(priority=5)


async def amend(change: Change) -> tuple[Download, Download]:
    return DOWNLOAD, change(DOWNLOAD)


async def refuse(change: Change) -> tuple[Download, Download]:
    raise InvalidStateError("it has ended")


async def test_the_caller_gets_the_row_before_and_after() -> None:
    request = RestartRequest(change)
    assert await request.apply(amend) == change(DOWNLOAD)
    assert await request.wait() == (DOWNLOAD, change(DOWNLOAD))


async def test_the_caller_gets_the_reason_of_a_refusal() -> None:
    request = RestartRequest(change)
    assert await request.apply(refuse) is None
    with pytest.raises(InvalidStateError, match="it has ended"):
        await request.wait()
    other = RestartRequest(change)
    other.refuse(ShuttingDownError())
    with pytest.raises(ShuttingDownError):
        await other.wait()


async def test_the_change_is_made_though_its_caller_has_gone() -> None:
    request = RestartRequest(change)
    waiting = asyncio.create_task(request.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    assert await request.apply(amend) == change(DOWNLOAD)
    request.refuse(ShuttingDownError())
