"""Selection of downloads by id, end of id, or file name."""

import pytest
from support.sample_downloads import sample_download

from downloadd.cli.download_ids import Entry, select_id, shorten_id
from downloadd.cli.errors import CommandError
from downloadd.client import HistoryEntry
from downloadd.download import Snapshot
from downloadd.fronts.rest.entries import make_active_entry, make_history_entry

IDS = ("01a20a2c-1331-706e-8ff2-4677a3499851", "01a20a2c-1331-706e-8ff2-4677a3490000")
ACTIVE = make_active_entry(Snapshot(download=sample_download(id=IDS[0], filename="f", directory="d")))
ENDED = make_history_entry(sample_download(id=IDS[1], filename="f", directory="e"))
ENTRIES: list[Entry] = [ACTIVE, ENDED]


def test_a_whole_id_needs_no_entry() -> None:
    assert select_id(IDS[0], []) == IDS[0]


@pytest.mark.parametrize("name", [IDS[0][-12:], IDS[0][-4:], "d/f"])
def test_the_end_of_an_id_and_a_path_select_a_download(name: str) -> None:
    assert select_id(name, ENTRIES) == IDS[0]


def test_the_preferred_kind_wins_if_several_have_the_name() -> None:
    assert select_id("f", ENTRIES) == IDS[0]
    assert select_id("f", ENTRIES, HistoryEntry) == IDS[1]


def test_a_short_word_is_not_the_end_of_an_id() -> None:
    with pytest.raises(CommandError) as missing:
        select_id("851", ENTRIES)
    assert missing.value.report is not None
    assert missing.value.report.error == "NOT_FOUND"


def test_an_ambiguous_name_lists_the_choices() -> None:
    other = make_history_entry(sample_download(id=IDS[0], filename="f", directory="g"))
    with pytest.raises(CommandError) as ambiguous:
        select_id("f", [ENDED, other], HistoryEntry)
    heading, *choices = ambiguous.value.lines
    assert heading.startswith("2 downloads have the name f;")
    assert [choice.partition("  ")[0] for choice in choices] == [shorten_id(IDS[1]), shorten_id(IDS[0])]


def test_control_characters_of_a_name_are_not_printed() -> None:
    with pytest.raises(CommandError) as missing:
        select_id("\x1b[31m", ENTRIES)
    assert "\x1b" not in "".join(missing.value.lines)
