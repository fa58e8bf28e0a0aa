"""Order, selection and keys of `top`."""

import pytest
from support.sample_downloads import sample_download

from downloadd.cli.top_model import Act, Quit, SortKey, TopModel, split_keys
from downloadd.client import ActiveEntry
from downloadd.download import Snapshot
from downloadd.fronts.rest.entries import make_active_entry
from downloadd.states import State, Trigger


def entry(number: int, *, state: State = State.DOWNLOADING, speed: int = 0, eta: int | None = None) -> ActiveEntry:
    download = sample_download(number, state=state, filename=f"f{number}", received=number, total=10)
    return make_active_entry(Snapshot(download=download, speed=speed, eta=eta))


@pytest.fixture
def model() -> TopModel:
    model = TopModel()
    for each in (entry(1, speed=5, eta=9), entry(2, speed=7, eta=4), entry(3, state=State.QUEUED)):
        model.update(each)
    return model


def names(model: TopModel) -> list[str | None]:
    return [each.filename for each in model.ordered()]


def test_keys_change_the_order(model: TopModel) -> None:
    assert names(model) == ["f2", "f1", "f3"]
    seen = {model.sort: names(model)}
    for _ in range(len(SortKey) - 1):
        assert model.press("s") is None
        seen[model.sort] = names(model)
    assert seen[SortKey.NAME] == ["f1", "f2", "f3"]
    assert seen[SortKey.AMOUNT] == ["f3", "f2", "f1"]
    assert seen[SortKey.LEFT] == ["f2", "f1", "f3"]
    assert seen[SortKey.STATE][-1] == "f3"
    model.press("s")
    model.press("r")
    assert (model.sort, names(model)) == (SortKey.SPEED, ["f3", "f1", "f2"])


def test_the_selection_moves_and_stays_on_the_screen(model: TopModel) -> None:
    for key, expected in (("j", "f2"), ("\x1b[B", "f1"), ("j", "f3"), ("j", "f3"), ("k", "f1"), ("\x1b[A", "f2")):
        model.press(key)
        assert next(each.filename for each in model.ordered() if each.id == model.selected) == expected
        assert model.selected in {each.id for each in model.visible(1)}
    assert len(model.visible(2)) == 2


def test_the_next_one_is_selected_when_a_download_ends(model: TopModel) -> None:
    for _ in range(3):
        model.press("j")
    for expected in ("f1", "f2", None):
        assert model.selected is not None
        model.remove(model.selected)
        assert next((each.filename for each in model.ordered() if each.id == model.selected), None) == expected


def test_actions_are_requested_for_the_selected_download(model: TopModel) -> None:
    assert model.press("p") is None
    assert "Select a download" in model.message
    model.press("j")
    [selected] = [each for each in model.ordered() if each.id == model.selected]
    assert model.press("p") == Act(id=selected.id, trigger=Trigger.PAUSE)
    assert model.press("t") == Act(id=selected.id, trigger=None)
    assert model.press("u") is None
    assert "cannot be changed" in model.message
    assert model.press("q") == Quit()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_cancel_is_confirmed(model: TopModel, answer: str) -> None:
    model.press("j")
    assert model.press("c") is None
    assert "y for yes" in model.message
    request = model.press(answer)
    assert request == (Act(id=str(model.selected), trigger=Trigger.CANCEL) if answer == "y" else None)


def test_keys_that_come_at_once_are_taken_one_by_one() -> None:
    assert split_keys("jp\x1b[A\x1bOBq") == ["j", "p", "\x1b[A", "\x1bOB", "q"]
