"""What users of other nodes want of the runs here; hints are tested in `tests/cluster`."""

from pathlib import Path

from support.manager_stack import open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.download import Desired
from downloadd.download_request import DownloadRequest
from downloadd.manager.desired_states import DesiredStates
from downloadd.records.runs import HeldRun
from downloadd.states import State


async def test_only_the_run_that_the_records_name_is_stopped(tmp_path: Path, origin: Origin) -> None:
    origin.script("/slow", ScriptedResponse(size=1000, etag='"1"', stall_after=10))
    async with open_stack(tmp_path) as stack:
        started = await stack.manager.start([DownloadRequest(url=origin.url("/slow"), directory="d")], user="ann")
        [row] = started.downloads
        await wait_until(lambda: stack.runs.get(row.id))
        desired = DesiredStates(stack.records, stack.runs)

        def held(epoch: int, wanted: Desired, id: str = row.id) -> HeldRun:
            return HeldRun(id=id, seq=row.seq, epoch=epoch, desired=wanted)

        desired.apply_held([held(7, Desired.CANCEL), held(1, Desired.RUN), held(1, Desired.CANCEL, "another")])
        active = stack.runs.get(row.id)
        assert active is not None
        assert active.run._stop is None
        desired.apply_held([held(1, Desired.PAUSE)])
        await wait_until(lambda: len(stack.runs) == 0)
        assert (await stack.manager.get(row.id)).download.state in {State.PAUSED, State.QUEUED}
