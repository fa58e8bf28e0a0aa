"""Selection of channels of an import, and lines about what it leaves out."""

import click
import pytest

from downloadd.cli.import_file import format_left_out, select_channels
from downloadd.client import FileDataResponse
from downloadd.fronts.rocketchat.schemas import ChannelEntry, SkippedItem
from downloadd.import_operation import SkipReason

CHANNELS = [
    ChannelEntry(channel_id=f"C{name}", name=name, is_archived=False, do_import=True, is_private=False, is_direct=False)
    for name in ("general", "random")
]
SAME_NAMES = [
    ChannelEntry(channel_id=id, name=name, is_archived=False, do_import=True, is_private=False, is_direct=False)
    for id, name in (("a/town", "Town Square"), ("b/town", "Town Square"), ("b/x", "a/town"), ("b/y", "other"))
]
DATA = FileDataResponse(users=[], channels=CHANNELS, message_count=0, success=True)


def test_without_names_all_channels_are_selected() -> None:
    assert select_channels(DATA, ()) == {"all": True}


def test_channels_are_selected_by_their_names() -> None:
    assert select_channels(DATA, ["random"]) == {"list": ["Crandom"]}


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(click.UsageError, match="no channel design; there are general, random"):
        select_channels(DATA, ["general", "design"])


def test_all_channels_of_a_name_or_id_are_selected_once() -> None:
    data = FileDataResponse(users=[], channels=SAME_NAMES, message_count=0, success=True)
    assert select_channels(data, ["Town Square"]) == {"list": ["a/town", "b/town"]}
    assert select_channels(data, ["b/town", "Town Square"]) == {"list": ["b/town", "a/town"]}
    assert select_channels(data, ["a/town"]) == {"list": ["a/town", "b/x"]}
    known = r"there are Town Square \(a/town\), Town Square \(b/town\), a/town, other$"
    with pytest.raises(click.UsageError, match=known):
        select_channels(data, ["nonsense"])


@pytest.mark.parametrize(
    ("entry", "line", "detail", "shown"),
    [
        (None, 4, "line 4: no URL", "line 4: no URL: no_url"),
        (None, 4, "no digits", "line 4: no digits: no_url"),
        (None, None, "no digits", "no digits: no_url"),
        ("a.csv", 4, "no name", "a.csv:4: no name: no_url"),
        ("a.csv", None, "damaged", "a.csv: damaged: no_url"),
    ],
)
def test_what_is_left_out_is_shown_with_its_place_once(
    entry: str | None, line: int | None, detail: str, shown: str
) -> None:
    item = SkippedItem(
        reason=SkipReason.NO_URL,
        meaning="",
        detail=detail,
        entry=entry,
        line=line,
        message=None,
        file_id=None,
        channel_id=None,
        channel=None,
    )
    assert format_left_out(item) == shown
