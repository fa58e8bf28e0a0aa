"""Selection among downloads that wait for space on the disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.manager.space_selection import SpaceRequest, select_fitting, select_part_to_discard
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitNotice, WaitReason


def request(seq: int, needed: int, kept: int = 0, *, priority: int = 0, place: float | None = None) -> SpaceRequest:
    waiting = WaitingDownload(seq=seq, origin="http://a", priority=priority, place=place)
    return SpaceRequest(
        id=str(seq), waiting=waiting, needed=needed, kept=kept, notice=WaitNotice(code=WaitReason.STORAGE_UNAVAILABLE)
    )


requests = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=6).map(
    lambda sizes: [request(seq, needed, kept) for seq, (needed, kept) in enumerate(sizes)]
)


@pytest.mark.parametrize(
    ("waiting", "available", "fitting"),
    [
        pytest.param([], 9, [], id="none waits"),
        pytest.param([request(1, 3), request(2, 3), request(3, 3)], 8, [1, 2], id="together"),
        pytest.param([request(2, 3), request(1, 3)], 3, [1], id="the older one first"),
        pytest.param([request(1, 3), request(2, 3, priority=1)], 3, [2], id="the higher priority first"),
        pytest.param([request(1, 3), request(2, 3, place=0.5)], 3, [2], id="the one that was moved first"),
        pytest.param([request(1, 9), request(2, 3)], 8, [2], id="a smaller one before one that does not fit"),
        pytest.param([request(1, 9)], 8, [], id="none fits"),
        pytest.param([request(1, 0)], 0, [1], id="nothing is missing"),
    ],
)
def test_the_downloads_that_fit_start(waiting: list[SpaceRequest], available: int, fitting: list[int]) -> None:
    assert [one.waiting.seq for one in select_fitting(waiting, available)] == fitting


@pytest.mark.parametrize(
    ("waiting", "available", "discarded"),
    [
        pytest.param([], 2, None, id="none waits"),
        pytest.param([request(1, 3)], 2, None, id="nothing to discard"),
        pytest.param([request(1, 3, 3)], 2, None, id="its own part does not help"),
        pytest.param([request(1, 3, 3), request(2, 3, 3)], 2, 2, id="the first one goes on"),
        pytest.param([request(1, 3, 3), request(2, 3, 3, priority=1)], 2, 1, id="the one of higher priority goes on"),
        pytest.param([request(1, 3, 3), request(2, 9, 2), request(3, 9, 1)], 2, 3, id="the smallest part"),
        pytest.param([request(1, 9), request(2, 4, 3)], 2, None, id="the space would not be enough"),
        pytest.param([request(1, 9, 4), request(2, 5, 1)], 2, 1, id="for the one that can fit"),
    ],
)
def test_a_part_is_discarded_if_another_download_fits_then(
    waiting: list[SpaceRequest], available: int, discarded: int | None
) -> None:
    selected = select_part_to_discard(waiting, available)
    assert (None if selected is None else selected.waiting.seq) == discarded


@given(requests, st.integers(0, 20))
def test_discarding_ends_and_lets_a_download_start(waiting: list[SpaceRequest], available: int) -> None:
    discarded = 0
    while not select_fitting(waiting, available):
        selected = select_part_to_discard(waiting, available)
        if selected is None:
            # None of them fits even if all others are discarded.
            assert not discarded
            kept = sum(one.kept for one in waiting)
            assert not [one for one in waiting if one.needed <= available + kept - one.kept and kept - one.kept]
            break
        discarded += 1
        assert discarded <= len(waiting)
        available += selected.kept
        waiting = [request(one.waiting.seq, one.needed + one.kept) if one is selected else one for one in waiting]
