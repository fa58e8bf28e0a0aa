"""Selection of channels of an import."""

import click
import pytest

from downloadd.cli.import_file import select_channels
from downloadd.client import FileDataResponse
from downloadd.fronts.rocketchat.schemas import ChannelEntry

CHANNELS = [
    ChannelEntry(channel_id=f"C{name}", name=name, is_archived=False, do_import=True, is_private=False, is_direct=False)
    for name in ("general", "random")
]
DATA = FileDataResponse(users=[], channels=CHANNELS, message_count=0, success=True)


def test_without_names_all_channels_are_selected() -> None:
    assert select_channels(DATA, ()) == {"all": True}


def test_channels_are_selected_by_their_names() -> None:
    assert select_channels(DATA, ["random"]) == {"list": ["Crandom"]}


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(click.UsageError, match="no channel design; there are general, random"):
        select_channels(DATA, ["general", "design"])
