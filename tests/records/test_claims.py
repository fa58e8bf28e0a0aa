"""Claims of waiting downloads."""

import pytest
from support.stored_downloads import sample_download

from downloadd.download import Desired
from downloadd.records.claims import claim
from downloadd.states import WAITING, State


@pytest.mark.parametrize(("before", "after"), [("queued", "starting"), ("retrying", "downloading")])
def test_a_claim_begins_an_attempt_in_a_new_epoch(before: str, after: str) -> None:
    waiting = sample_download(state=State(before), epoch=4).with_progress(attempt=2, not_before=9.0)
    claimed = claim(waiting)
    assert claimed is not None
    assert (claimed.state, claimed.epoch, claimed.progress.attempt) == (after, 5, 3)
    assert claimed.progress.not_before is None


@pytest.mark.parametrize("state", sorted(set(State) - WAITING))
def test_one_that_does_not_wait_is_not_claimed(state: State) -> None:
    assert claim(sample_download(state=state)) is None


@pytest.mark.parametrize("desired", [Desired.PAUSE, Desired.CANCEL])
def test_one_that_a_user_wants_stopped_is_not_claimed(desired: Desired) -> None:
    assert claim(sample_download(state=State.QUEUED, desired=desired)) is None


def test_one_that_is_unknown_is_not_claimed() -> None:
    assert claim(None) is None
