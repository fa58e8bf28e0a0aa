"""Reports of progress."""

import asyncio
from pathlib import Path

import pytest
from support.manager_stack import open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT

from downloadd.download_request import DownloadRequest
from downloadd.events import DownloadChanged
from downloadd.manager import progress_reports


async def test_a_download_that_received_bytes_is_published(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_reports, "PROGRESS_SECONDS", 0.01)
    origin.script("/slow", ScriptedResponse(size=1000, stall_after=10))
    async with open_stack(tmp_path) as stack:
        with stack.bus.subscribe() as subscription:
            await stack.manager.start([DownloadRequest(url=origin.url("/slow"), directory="d")], user="ann")
            received = 0
            async with asyncio.timeout(CONDITION_TIMEOUT):
                while received != 10:
                    events = [each.event for each in await subscription.receive()]
                    changes = [event.snapshot for event in events if isinstance(event, DownloadChanged)]
                    received = max([received, *(one.download.progress.received for one in changes)])
