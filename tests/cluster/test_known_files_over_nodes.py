"""Files that another node has published: kept and copied under the origin's confirmation."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from support.file_tree import contents_below
from support.node_stack import NodeStack, open_node
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Download, ResumedBy
from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode
from downloadd.states import State

SIZE = 100_000
FILE = ScriptedResponse(size=SIZE, etag='"v"')


async def download(node: NodeStack, url: str, **fields: Any) -> Download:
    """Download a URL on a node; return the row after its end."""
    request = DownloadRequest(**{"url": url, "directory": "d", **fields})
    started = await node.manager.start([request], user="ann")
    return await node.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)


async def test_a_node_keeps_and_copies_the_file_of_another_one(tmp_path: Path, database: str, origin: Origin) -> None:
    origin.script("/f", [FILE, replace(error_response(304), etag='"v"'), FILE])
    async with (
        open_node(tmp_path, database, "alpha", reuse=True) as first,
        open_node(tmp_path, database, "beta", reuse=True) as second,
    ):
        second.suspend()
        assert (await download(first, origin.url("/f"))).state is State.COMPLETED
        first.suspend()
        second.parts.dispatcher.queue.set_suspension(None)
        copied = await download(second, origin.url("/f"), directory="e")
        assert (copied.state, copied.progress.resumed_by) == (State.COMPLETED, ResumedBy.REUSE)
        kept = await download(second, origin.url("/f"), directory="e", skip_same=True, filename="f")
        assert (kept.state, kept.result.error) == (State.SKIPPED, ErrorCode.ALREADY_THERE)
    assert contents_below(tmp_path / "files") == dict.fromkeys(("d/f", "e/f"), expected_bytes(0, 0, SIZE))
