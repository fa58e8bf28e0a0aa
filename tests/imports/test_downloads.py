"""Cancellation of the downloads of an import."""

import pytest
from support.import_stack import FakeDownloads, ImportStack

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import StoreUnavailableError
from downloadd.imports.downloads import cancel_if_active
from downloadd.states import State


async def test_an_active_download_is_cancelled(stack: ImportStack) -> None:
    await stack.downloads.start([DownloadRequest(url="http://a/", directory="d", id="x")], user="ann")
    await cancel_if_active(stack.downloads, "x")
    download = await stack.database.get("x")
    assert download is not None
    assert download.state is State.CANCELLED


async def test_a_finished_or_unknown_download_is_left_alone(stack: ImportStack) -> None:
    await stack.downloads.start([DownloadRequest(url="http://a/", directory="d", id="x")], user="ann")
    finished = await stack.downloads.finish("x")
    await cancel_if_active(stack.downloads, "x")
    await cancel_if_active(stack.downloads, "unknown")
    assert await stack.database.get("x") == finished


async def test_unavailable_records_are_reported(stack: ImportStack) -> None:
    class Unavailable(FakeDownloads):
        async def cancel(self, id: str) -> Download:
            raise StoreUnavailableError("locked")

    with pytest.raises(StoreUnavailableError):
        await cancel_if_active(Unavailable(stack.database), "x")
