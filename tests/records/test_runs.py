"""Records of the runs of the only node of a store."""

from downloadd.records.runs import SoleRuns


async def test_no_other_node_holds_a_download() -> None:
    runs = SoleRuns()
    assert (await runs.nodes(["a"]), await runs.held(), runs.pop_takeover(1)) == ({}, (), False)
