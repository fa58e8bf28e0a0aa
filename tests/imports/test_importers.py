"""Table of the importers, and the pages and commands that name its rows."""

import json
from contextlib import suppress

import click
import pytest
from docs.pages import first_cells, read, section
from hypothesis import given
from hypothesis import strategies as st
from support.import_files import METALINK
from support.import_files import read as read_items

from downloadd.cli.main import downloadctl
from downloadd.fronts.page.assets import IMPORTERS_MODULE, load_assets
from downloadd.import_operation import PENDING_KINDS, ImportErrorCode
from downloadd.imports.importers import IMPORTERS, find_importer, guess_importer
from downloadd.imports.refusal import ImportRefusedError, UnknownImporterError


def test_each_importer_is_found_by_its_key() -> None:
    for key, importer in IMPORTERS.items():
        assert find_importer(key) is importer
        assert importer.key == key
    assert not set(IMPORTERS) & set(PENDING_KINDS)


@pytest.mark.parametrize("key", ["hipchat", "", "pending-files", "SLACK"])
def test_an_unknown_key_is_refused_with_the_known_ones(key: str) -> None:
    with pytest.raises(UnknownImporterError) as refused:
        find_importer(key)
    assert (refused.value.code, refused.value.key, refused.value.known) == (
        ImportErrorCode.UNKNOWN_IMPORTER,
        key,
        tuple(IMPORTERS),
    )


def test_a_secret_in_an_unknown_key_is_not_shown() -> None:
    with pytest.raises(UnknownImporterError) as refused:
        find_importer("https://ann:s3cret@example.org/" + "x" * 1000)
    assert "s3cret" not in str((refused.value, refused.value.key))
    assert len(refused.value.key) <= 100


GUESSES = [
    ("export.zip", b"PK\x03\x04", "slack"),
    ("export.csv", b"PK\x03\x04", "slack"),
    ("a.CSV", b"url\nhttp://x", "csv"),
    ("a.csv", b"<?xml version", "metalink"),
    ("a.meta4", b"", "metalink"),
    ("a.metalink", b"\x00", "metalink"),
    ("a", b"\xef\xbb\xbf<?xml version", "metalink"),
    ("a", b" \r\n<metalink", "metalink"),
    ("a.txt", b"http://x\n", "urls"),
    ("a.txt", b" PK", "urls"),
    ("csv", b"", "csv"),
    ("a", b"\xff\xfeh\0t\0", "urls"),
    ("a.jsonl", b'{"type":"version"', "mattermost"),
    ("export.tar.gz", b"\x1f\x8b\x08", "zulip"),
    ("a.png", b"\x89PNG\0\0", None),
]


@pytest.mark.parametrize(("name", "head", "key"), GUESSES)
def test_the_importer_is_guessed_by_name_and_first_bytes(name: str, head: bytes, key: str | None) -> None:
    importer = guess_importer(name, head)
    assert (importer and importer.key) == key


@given(name=st.text(max_size=20), head=st.binary(max_size=40))
def test_a_guess_is_a_row_of_the_table_or_none(name: str, head: bytes) -> None:
    importer = guess_importer(name, head)
    assert importer is None or IMPORTERS[importer.key] is importer


@pytest.mark.parametrize("key", IMPORTERS)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(key: str, data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"url\n", b"http://a/\n", b"<metalink>", METALINK.encode()):
        with suppress(ImportRefusedError):
            read_items(key, start + data)


def test_the_command_line_takes_the_keys() -> None:
    [option] = [each for each in downloadctl.commands["import"].params if each.name == "kind"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(IMPORTERS)


def test_the_page_has_the_table_of_importers_as_a_module() -> None:
    text = load_assets()[IMPORTERS_MODULE].content.decode()
    table = json.loads(text.removeprefix("export const IMPORTERS = ").removesuffix(";\n"))
    assert list(table) == list(IMPORTERS)
    for key, row in table.items():
        importer = IMPORTERS[key]
        assert row == {
            "uploadHint": importer.upload_hint,
            "suffixes": list(importer.suffixes),
            "signatures": [list(signature) for signature in importer.signatures],
            "markup": [start.decode() for start in importer.markup],
            "acceptsText": importer.accepts_text,
        }


def test_the_page_has_no_list_of_importers_of_its_own() -> None:
    for name in ("index.html", "links.js", "imports.js", "add_form.js"):
        text = load_assets()[name].content.decode()
        assert [key for key in IMPORTERS if f'"{key}"' in text] == [], name


def test_the_documentation_names_the_keys() -> None:
    assert first_cells(section(read("docs/reference/importers.md"), "Importers")) == list(IMPORTERS)
