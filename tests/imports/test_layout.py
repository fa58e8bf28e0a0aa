"""Directories and names of the files of an import."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.import_operation import FILES_CHANNEL_ID, FileLink, PendingFile, PendingKind
from downloadd.imports.layout import (
    AVATARS_DIRECTORY,
    format_channel_directory,
    format_import_directory,
    resolve_destination,
)
from downloadd.storage.names import parse_directory, parse_filename

START = 1_600_000_000_999
DATE = "2020-09-13 12-26-40"


def pending(channel: str = "general", *, shares_directory: bool = False, **fields: str) -> PendingFile:
    link = FileLink(**{"file_id": "F1", "url": "http://a/", "channel_id": "C1", "name": "a.gif", **fields})  # type: ignore[arg-type]
    return PendingFile(
        number=1,
        link=link,
        channel=channel,
        import_started_at=START,
        import_name="x.zip",
        shares_directory=shares_directory,
    )


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("export.zip", f"Imports/{DATE} export"),
        ("a/b/export.tar.gz", f"Imports/{DATE} export.tar"),
        ("", f"Imports/{DATE}"),
        (".zip", f"Imports/{DATE} zip"),
    ],
)
def test_the_directory_has_the_start_and_the_stem(name: str, directory: str) -> None:
    assert format_import_directory("Imports", START, name) == directory


def test_a_file_goes_to_the_directory_of_its_channel() -> None:
    assert resolve_destination(pending(), PendingKind.FILE) == ("general", "F1-a.gif")
    assert resolve_destination(pending(channel=""), PendingKind.FILE) == ("C1", "F1-a.gif")


@pytest.mark.parametrize(
    ("name", "id", "directory"),
    [
        ("Town", "acme/town", "Town (acme town)"),
        ("Sales / UX", "acme/sales-ux", "UX (acme sales-ux)"),
        ("general", "C024BE7LH", "general (C024BE7LH)"),
        ("", "acme/town", "town (acme town)"),
        ("x" * 500, "y" * 500, f"{'x' * 120} ({'y' * 120})"),
    ],
)
def test_the_directory_of_one_of_several_channels_of_the_same_name_has_the_id(
    name: str, id: str, directory: str
) -> None:
    file = pending(name, shares_directory=True, channel_id=id)
    assert resolve_destination(file, PendingKind.FILE) == (directory, "F1-a.gif")


def test_channels_share_a_directory_if_their_names_are_the_same_on_a_disk() -> None:
    assert format_channel_directory("Sales / UX", "C1") == format_channel_directory("UX", "C2") == "UX"
    assert format_channel_directory("", "C1") == "C1"


def test_an_avatar_goes_to_the_directory_of_avatars() -> None:
    assert resolve_destination(pending(), PendingKind.AVATAR) == (AVATARS_DIRECTORY, "F1-a.gif")


def test_a_file_without_channel_goes_where_the_list_says() -> None:
    file = pending(channel_id=FILES_CHANNEL_ID, directory="x/y")
    assert resolve_destination(file, PendingKind.FILE) == ("x/y", "a.gif")
    assert resolve_destination(pending(channel_id=FILES_CHANNEL_ID, name=""), PendingKind.FILE) == ("", None)


@given(name=st.text(max_size=300), channel=st.text(max_size=300), id=st.text(max_size=300), shared=st.booleans())
def test_any_names_become_valid_ones(name: str, channel: str, id: str, shared: bool) -> None:
    file = pending(channel, shares_directory=shared, name=name, file_id=id, channel_id=f"C{id}")
    directory, filename = resolve_destination(file, PendingKind.FILE)
    assert filename is not None
    parse_filename(filename)
    parse_directory(f"{format_import_directory('Imports', START, name)}/{directory}")
    assert "/" not in directory
