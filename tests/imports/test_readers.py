"""What importers find in files of the documented formats, and what they refuse."""

import io
import json
import unicodedata
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportItem,
    ImportKind,
    MessageCount,
    SkippedEntry,
    WorkspaceUser,
)
from downloadd.imports import archive, metalink, slack
from downloadd.imports.importers import IMPORTERS, parse_importer_key
from downloadd.imports.refusal import ImportRefusedError, RefusalCode


def packed(members: Mapping[str, Any]) -> bytes:
    """A zip of these members; what is not bytes or text is written as JSON."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content if isinstance(content, bytes | str) else json.dumps(content))
    return file.getvalue()


def read(kind: ImportKind, data: bytes) -> list[ImportItem]:
    return list(IMPORTERS[kind](io.BytesIO(data)))


def links(items: list[ImportItem]) -> list[FileLink]:
    return [item for item in items if isinstance(item, FileLink)]


def skipped(items: list[ImportItem]) -> list[str]:
    return [item.reason for item in items if isinstance(item, SkippedEntry)]


# -- Slack -------------------------------------------------------------------------------------------------------------


def slack_file(id: str = "F1", **fields: Any) -> dict[str, Any]:
    """A file as exports describe it: https://api.slack.com/types/file."""
    return {
        "id": id,
        "created": 1531763342,
        "timestamp": 1531763342,
        "name": "tedair.gif",
        "title": "tedair.gif",
        "mimetype": "image/gif",
        "filetype": "gif",
        "user": "U1",
        "mode": "hosted",
        "is_external": False,
        "size": 137531,
        "url_private": f"https://files.slack.com/files-pri/T1-{id}/tedair.gif",
        "url_private_download": f"https://files.slack.com/files-pri/T1-{id}/download/tedair.gif?t=xoxe-1",
        **fields,
    }


EXPORT: dict[str, Any] = {
    "users.json": [
        {"id": "U1", "name": "ann", "deleted": False, "is_bot": False,
         "profile": {"email": "ann@example.com", "image_512": "https://a/512.png", "image_original": "https://a/o.png"}},
        {"id": "U2", "name": "robot", "deleted": True, "is_bot": True, "profile": {"image_512": "https://a/r.png"}},
        {"id": "U3", "name": "bare"},
    ],
    "channels.json": [{"id": "C1", "name": "general", "is_archived": False, "members": ["U1"]},
                      {"id": "C2", "name": "old", "is_archived": True}],
    "groups.json": [{"id": "G1", "name": "secret", "is_archived": False}],
    "mpims.json": [{"id": "G2", "name": "mpdm-ann--robot-1"}],
    "dms.json": [{"id": "D1", "members": ["U1", "U2"]}],
    "general/2020-01-01.json": [
        {"type": "message", "user": "U1", "text": "look", "ts": "1531763348.000002", "files": [slack_file()]},
        {"type": "message", "user": "U2", "ts": "1531763349.0", "files": [slack_file(), slack_file("F2")]},
        {"type": "message", "user": "U1", "ts": "1531763350.0", "thread_ts": "1.0", "files": [slack_file("F3")]},
        {"type": "message", "subtype": "file_share", "user": "U1", "ts": "1.0", "file": slack_file("F4")},
        {"type": "message", "text": "nothing", "user": "U1", "ts": "2.0"},
    ],
    "general/2020-01-02.json": [
        {"type": "message", "ts": "3.0", "files": [
            {"id": "F5", "mode": "tombstone"}, {"id": "F6", "mode": "hidden_by_limit"},
            slack_file("F7", mode="external", is_external=True, url_private_download=None)]},
    ],
    "secret/2020-01-01.json": [{"type": "message", "user": "U1", "ts": "4.0", "files": [slack_file("F8", name=None)]}],
    "D1/2020-01-01.json": [{"type": "message", "user": "U1", "ts": "5.0", "files": [slack_file("F9")]}],
}  # fmt: skip


@pytest.mark.parametrize("top", ["", "export of acme/"])
def test_an_export_of_slack_is_read(top: str) -> None:
    items = read(ImportKind.SLACK, packed({f"{top}{name}": content for name, content in EXPORT.items()}))
    people = [item for item in items if isinstance(item, WorkspaceUser)]
    assert people == [
        WorkspaceUser(user_id="U1", username="ann", email="ann@example.com", avatar_url="https://a/o.png"),
        WorkspaceUser(user_id="U2", username="robot", is_deleted=True, is_bot=True, avatar_url="https://a/r.png"),
        WorkspaceUser(user_id="U3", username="bare"),
    ]
    assert [item for item in items if isinstance(item, Channel)] == [
        Channel(channel_id="C1", name="general"),
        Channel(channel_id="C2", name="old", is_archived=True),
        Channel(channel_id="G1", name="secret", is_private=True),
        Channel(channel_id="G2", name="mpdm-ann--robot-1", is_private=True),
        Channel(channel_id=DIRECT_MESSAGES_CHANNEL_ID, name="Direct Messages", is_private=True, is_direct=True),
    ]
    assert sum(item.count for item in items if isinstance(item, MessageCount)) == 8
    found = links(items)
    assert [(link.file_id, link.channel_id) for link in found] == [
        ("F1", "C1"), ("F2", "C1"), ("F3", "C1"), ("F4", "C1"), ("F8", "G1"), ("F9", DIRECT_MESSAGES_CHANNEL_ID),
    ]  # fmt: skip
    assert found[0] == FileLink(
        file_id="F1",
        url="https://files.slack.com/files-pri/T1-F1/download/tedair.gif?t=xoxe-1",
        name="tedair.gif",
        channel_id="C1",
        user="U1",
        time=1531763348.000002,
        size=137531,
        content_type="image/gif",
    )
    assert len(skipped(items)) == 3


def test_one_broken_entry_does_not_cost_the_rest() -> None:
    broken = {
        "users.json": [{"id": "U1", "name": "ann"}, {"name": "no id"}, 5],
        "channels.json": [{"id": "C1", "name": "general"}, {"id": "C2"}],
        "general/1.json": [{"ts": "1", "files": [slack_file()]}, "nonsense", {"ts": "2", "files": [{"size": "x"}]},
                           {"ts": "x", "files": [slack_file("F2", size=None)]}],
        "general/2.json": "[1, 2",
        "general/3.json": {"not": "a list"},
        "nowhere/1.json": [{"ts": "1", "files": [slack_file("F3")]}],
        "readme.txt": "hello",
    }  # fmt: skip
    items = read(ImportKind.SLACK, packed(broken))
    assert [link.file_id for link in links(items)] == ["F1", "F2"]
    assert [link.time for link in links(items)] == [1.0, None]
    assert len(skipped(items)) == 3 + 2 + 4 + 1


def test_a_day_that_is_cut_short_gives_what_comes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    day = json.dumps([{"ts": "1", "files": [slack_file("F1")]}, {"ts": "2", "files": [slack_file("F2")]}])
    items = read(ImportKind.SLACK, packed({**EXPORT, "general/2020-01-01.json": day[:-20]}))
    assert links(items)[0].file_id == "F1"
    assert "cut short" in skipped(items)[0]


@pytest.mark.parametrize("limit", ["_MAX_DECODED_BYTES", "_MAX_DECODED_OBJECTS", "_MAX_DECODED_QUOTES"])
def test_an_export_that_is_read_piece_by_piece_holds_the_same(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    at_once = read(ImportKind.SLACK, packed(EXPORT))
    monkeypatch.setattr(slack, limit, 0)
    assert read(ImportKind.SLACK, packed(EXPORT)) == at_once


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"a.txt": "x"}, id="no export"),
        pytest.param({"users.json": "[{"}, id="users cut"),
        pytest.param({"users.json": {"a": 1}}, id="users no list"),
        pytest.param({"channels.json": [], "users.json": "nonsense"}, id="users nonsense"),
    ],
)
def test_what_is_no_export_of_slack_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ImportRefusedError):
        read(ImportKind.SLACK, packed(members))


# -- archives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../users.json", "/users.json", "a/../../b.json", "..\\b.json", "C:\\b.json", "C:b"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ImportRefusedError, match="leads elsewhere"):
        read(ImportKind.SLACK, packed({"users.json": [], name: "x"}))


def test_an_encrypted_archive_is_refused() -> None:
    data = bytearray(packed({"users.json": "[]"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(ImportRefusedError, match="encrypted"):
        read(ImportKind.SLACK, bytes(data))


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    with pytest.raises(ImportRefusedError, match="bomb") as refused:
        read(ImportKind.SLACK, packed({"users.json": b" " * (20 << 20)}))
    assert refused.value.code is RefusalCode.FILE_TOO_LARGE


def test_an_entry_that_is_longer_than_it_says_is_damaged() -> None:
    data = packed({"users.json": "[]", "general/1.json": b"[" + b"1," * 50_000 + b"1]"})
    place = data.rindex(b"PK\x01\x02")
    cut = bytearray(data)
    cut[place + 24 : place + 28] = (100).to_bytes(4, "little")
    items: list[ImportItem] = []
    with pytest.raises(ImportRefusedError):
        items = read(ImportKind.SLACK, bytes(cut).replace(b"users.json", b"other.json"))
    assert items == []


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_folders_are_found_whoever_packed_them(form: Literal["NFC", "NFD"]) -> None:
    """macOS packs decomposed names in UTF-8, and does not say so."""
    name = "grüße-日本"
    members = {
        "users.json": [],
        "channels.json": [{"id": "C1", "name": name}],
        f"{unicodedata.normalize(form, name)}/2020-01-01.json": [{"ts": "1.0", "files": [None, slack_file()]}],
    }
    data = bytearray(packed(members))
    for signature, offset in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] &= ~0x08 & 0xFF
            at = data.find(signature, at + 1)
    assert zipfile.ZipFile(io.BytesIO(data)).namelist()[2] not in members
    assert [link.channel_id for link in links(read(ImportKind.SLACK, bytes(data)))] == ["C1"]


def test_what_is_not_read_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRY_BYTES", 10_000)
    logs = {"integration_logs.json": bytes(range(256)) * 100}
    assert len(links(read(ImportKind.SLACK, packed({**EXPORT, **logs})))) == 6
    day = {"general/2020-01-03.json": [{"text": "x" * 20_000}]}
    with pytest.raises(ImportRefusedError, match=r"2020-01-03.*too large"):
        read(ImportKind.SLACK, packed({**EXPORT, **day}))


def test_a_directory_is_judged_by_its_bytes_and_not_by_what_the_archive_says_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(packed({f"{number}.json": "[]" for number in range(6)}))
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 12] = bytes(4)
    assert len(zipfile.ZipFile(io.BytesIO(data)).namelist()) == 6
    monkeypatch.setattr(archive, "MAX_ENTRIES", 5)
    with pytest.raises(ImportRefusedError, match="entries"):
        read(ImportKind.SLACK, bytes(data))
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(ImportRefusedError, match="directory of the archive"):
        read(ImportKind.SLACK, bytes(data))


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 5)
    with pytest.raises(ImportRefusedError, match="entries"):
        read(ImportKind.SLACK, packed({f"{number}.json": "[]" for number in range(6)}))


@pytest.mark.parametrize("kind", [ImportKind.SLACK])
@pytest.mark.parametrize("data", [b"", b"PK", b"nonsense" * 100, packed(EXPORT)[:-30], packed(EXPORT)[:200]])
def test_what_is_no_archive_is_refused(kind: ImportKind, data: bytes) -> None:
    with pytest.raises(ImportRefusedError, match="zip"):
        read(kind, data)


# -- CSV ---------------------------------------------------------------------------------------------------------------


def test_a_workspace_of_tables_is_read() -> None:
    data = packed(
        {
            "users.csv": 'ann,ann@example.com,"Ann, A."\nbob,bob@example.com,Bob\nlonely\n',
            "channels.csv": "general,ann,public,ann;bob\nsecret,ann,private,ann\n",
            "general/1.csv": 'ann,1479162481336,"two\nlines"\nbob,1479162481337,x\n',
            "directmessages/1.csv": "ann,bob,1479162481336,hello\n",
            "later/1.csv": "ann,1,x\n",
        }
    )
    items = read(ImportKind.CSV, data)
    assert [item.username for item in items if isinstance(item, WorkspaceUser)] == ["ann", "bob"]
    assert [(c.channel_id, c.is_private, c.is_direct) for c in items if isinstance(c, Channel)] == [
        ("general", False, False),
        ("secret", True, False),
        (DIRECT_MESSAGES_CHANNEL_ID, True, True),
        ("later", False, False),
    ]
    assert sum(item.count for item in items if isinstance(item, MessageCount)) == 4
    assert len(skipped(items)) == 1


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_of_urls_is_read_however_it_was_saved(separator: str, encoding: str) -> None:
    rows = [
        ("Filename", "URL", "directory", "checksum", "note"),
        ("grün.txt", "https://a.example/1?x=1", "a/b", f"sha-256={'0' * 64}", ""),
        ("", "https://a.example/2", "", "", ""),
        ("", "", "", "", ""),
        ("x", "nonsense", "", "", ""),
    ]
    text = "\r\n".join(separator.join(row) for row in rows)
    items = read(ImportKind.CSV, text.encode(encoding))
    first, second = links(items)
    assert (first.name, first.url, first.directory) == ("grün.txt", "https://a.example/1?x=1", "a/b")
    assert (first.checksum, second.checksum, second.name) == (f"sha-256={'0' * 64}", None, "")
    assert first.file_id != second.file_id
    assert skipped(items) == ["line 5: no URL"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "url"),
        (b"name,link\na,https://a.example/\n", "url"),
        (b"url\n\n", "names no file"),
        (b'url\n"' + b"x" * 200_000, "cannot be read"),
        (packed({"x.txt": "y"}), "users.csv"),
    ],
)
def test_a_table_without_urls_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ImportRefusedError, match=sentence):
        read(ImportKind.CSV, data)


# -- lists of URLs -----------------------------------------------------------------------------------------------------


def test_a_list_is_read_as_wget_and_aria2c_read_it() -> None:
    text = (
        "# a comment\n\nhttps://a.example/1\nhttps://a.example/2\thttps://b.example/2\n"
        "  out=two.bin\n\tdir=some/where\n  checksum=sha-256=00\n  split=5\n # another comment\nhttps://a.example/3\r\n"
        "nonsense\n  out=lost\n"
    )
    items = read(ImportKind.URLS, text.encode())
    assert [(link.url, link.mirrors, link.name, link.directory, link.checksum) for link in links(items)] == [
        ("https://a.example/1", (), "", "", None),
        ("https://a.example/2", ("https://b.example/2",), "two.bin", "some/where", "sha-256=00"),
        ("https://a.example/3", (), "", "", None),
    ]
    assert skipped(items) == [f"line {n}: no URL with its scheme, such as https://" for n in (11, 12)]


def test_a_line_that_is_too_long_costs_no_other() -> None:
    items = read(ImportKind.URLS, b"http://a.example/" + b"x" * 600_000 + b"\nhttps://a.example/1\n")
    assert [link.url for link in links(items)] == ["https://a.example/1"]
    assert skipped(items) == ["line 1: longer than 524288 characters"]


@pytest.mark.parametrize("line", ["ann:s3cret@h.example/x", "//ann:s3cret@h.example/x", "h.example/x?token=s3cret"])
@pytest.mark.parametrize("kind", [ImportKind.URLS, ImportKind.CSV])
def test_a_line_without_a_scheme_is_not_repeated(kind: ImportKind, line: str) -> None:
    items = read(kind, f"url\n{line}\nhttp://a.example/\n".encode())
    assert skipped(items)
    assert "s3cret" not in str(items)


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\0\1\2", b"nonsense\n"])
def test_a_list_without_urls_is_refused(data: bytes) -> None:
    with pytest.raises(ImportRefusedError):
        read(ImportKind.URLS, data)


# -- Metalink ----------------------------------------------------------------------------------------------------------

METALINK = """<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <published>2009-05-15T12:23:23Z</published>
  <file name="dir/example.ext">
    <size>14471447</size>
    <identity>Example</identity>
    <hash type="sha-1">80bc95fd391772fa61c91ed68567f0980bb45fd9</hash>
    <hash type="sha-256">F0AD929CD259957E160EA442EB80986B5F01A1B4</hash>
    <pieces length="1048576" type="sha-256"><hash>aa</hash></pieces>
    <url location="de" priority="2">https://b.example/example.ext</url>
    <url>http://d.example/example.ext</url>
    <url priority="1">http://a.example/example.ext?a=1&amp;b=2</url>
    <url priority="3">ftp://c.example/example.ext</url>
    <metaurl mediatype="torrent">http://t.example/x.torrent</metaurl>
  </file>
  <file name="../climbing"><url>http://a.example/2</url></file>
  <file name="/absolute"><url>http://a.example/3</url></file>
  <file name="nowhere"><url>ftp://a.example/4</url></file>
  <file name="plain"><url>http://a.example/5</url></file>
</metalink>"""


def test_a_metalink_is_read_with_its_mirrors_by_priority() -> None:
    items = read(ImportKind.METALINK, METALINK.encode())
    first, second = links(items)
    assert first.url == "http://a.example/example.ext?a=1&b=2"
    assert first.mirrors == ("https://b.example/example.ext", "http://d.example/example.ext")
    assert (first.directory, first.name, first.size) == ("dir", "example.ext", 14471447)
    assert first.checksum == "sha-256=f0ad929cd259957e160ea442eb80986b5f01a1b4"
    assert (second.name, second.directory, second.checksum) == ("plain", "", None)
    assert len(skipped(items)) == 3


def test_of_very_many_mirrors_the_best_are_taken() -> None:
    urls = "".join(f'<url priority="{n}">http://m{n}.example/</url>' for n in range(1000, 0, -1))
    long = f"<url>http://long.example/{'x' * 20_000}</url>"
    text = f'<metalink xmlns="{metalink.NAMESPACE}"><file name="a">{long}{urls}</file></metalink>'
    [link] = links(read(ImportKind.METALINK, text.encode()))
    assert [link.url, *link.mirrors] == [f"http://m{n}.example/" for n in range(1, 17)]


def test_a_metalink_may_be_long_and_name_many_files() -> None:
    files = "".join(f'<file name="{n}"><url>http://a.example/{n}</url></file>' for n in range(20_000))
    text = f'<metalink xmlns="{metalink.NAMESPACE}"><!--{"x" * 100_000}-->{files}</metalink>'
    assert len(links(read(ImportKind.METALINK, text.encode()))) == 20_000


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y">]><metalink/>', "document type"),
        ('<!DOCTYPE a SYSTEM "http://a.example/x.dtd"><metalink/>', "document type"),
        ("<metalink/>", "no Metalink"),
        ("<html></html>", "no Metalink"),
        (METALINK[:300], "no XML"),
        ("", "no XML"),
        ('<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', "names no file"),
    ],
)
def test_what_is_no_metalink_is_refused(data: str, sentence: str) -> None:
    with pytest.raises(ImportRefusedError, match=sentence):
        read(ImportKind.METALINK, data.encode())


# -- whatever ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", IMPORTERS)
@given(data=st.binary(max_size=300))
def test_whatever_is_uploaded_is_read_or_refused(kind: ImportKind, data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"url\n", b"http://a/\n", b"<metalink>"):
        with suppress(ImportRefusedError):
            read(kind, start + data)


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "name", "files", "file", "profile", "ts", "user", "size", "url_private_download", "mode"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
"""JSON in which the fields of exports hold anything."""


@settings(max_examples=60)
@given(
    name=st.sampled_from(["users.json", "channels.json", "dms.json", "general/2020-01-01.json"]),
    content=SHAPES.map(json.dumps).map(str.encode) | st.lists(SHAPES).map(json.dumps).map(str.encode) | st.binary(),
    cut=st.integers(0, 9),
)
def test_whatever_json_or_bytes_an_export_holds_it_is_read_or_refused(name: str, content: bytes, cut: int) -> None:
    for data in (content, content[:-cut], b"[" + content + b', {"id": "F"}]'):
        with suppress(ImportRefusedError):
            for item in read(ImportKind.SLACK, packed({**EXPORT, name: data})):
                msgspec.json.encode(item)


@settings(max_examples=60)
@given(data=st.data())
def test_a_metalink_with_any_texts_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.text(max_size=30).map(quoteattr))
    for spot in ('"dir/example.ext"', '"2"', '"sha-1"', '"UTF-8"', '"urn:ietf:params:xml:ns:metalink"'):
        with suppress(ImportRefusedError):
            read(ImportKind.METALINK, METALINK.replace(spot, text, 1).encode("utf-8", "replace"))
    for spot in ("14471447", "80bc95fd391772fa61c91ed68567f0980bb45fd9", "http://a.example/5"):
        with suppress(ImportRefusedError):
            read(ImportKind.METALINK, METALINK.replace(spot, escape(text), 1).encode("utf-8", "replace"))


@settings(max_examples=60)
@given(data=st.data())
def test_a_metalink_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    changed = bytearray(METALINK.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    with suppress(ImportRefusedError):
        for item in read(ImportKind.METALINK, bytes(changed)):
            msgspec.json.encode(item)


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(st.text(max_size=12) | st.sampled_from(["http://a/", "url", '"', "\n"]), max_size=4)),
    separator=st.sampled_from(",;\t\n\r"),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252"]),
)
def test_whatever_text_a_list_or_table_holds_it_is_read_or_refused(
    rows: list[list[str]], separator: str, encoding: str
) -> None:
    data = "\n".join(separator.join(row) for row in rows).encode(encoding, "replace")
    for kind, start in (
        (ImportKind.CSV, b""),
        (ImportKind.CSV, b"url,filename\n"),
        (ImportKind.URLS, b""),
        (ImportKind.URLS, b"http://a/\n"),
    ):
        with suppress(ImportRefusedError):
            read(kind, start + data)
    for name in ("users.csv", "channels.csv", "general/1.csv"):
        with suppress(ImportRefusedError):
            read(ImportKind.CSV, packed({"users.csv": "", name: data}))


def packed_by(method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as target:
        for name in ("users.json", "channels.json", "general/2020-01-01.json"):
            target.writestr(name, json.dumps(EXPORT[name]))
    return file.getvalue()


ARCHIVES = [
    packed_by(method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
]


@given(st.data())
def test_an_archive_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    archive = bytearray(data.draw(st.sampled_from(ARCHIVES)))
    for _ in range(data.draw(st.integers(1, 3))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImportRefusedError):
        read(ImportKind.SLACK, bytes(archive))


@pytest.mark.parametrize("archive", ARCHIVES, ids=["stored", "deflated", "bzip2", "lzma"])
def test_an_archive_with_any_one_byte_changed_is_read_or_refused(archive: bytes) -> None:
    for position in range(len(archive)):
        for value in (0, 255, archive[position] ^ 1):
            with suppress(ImportRefusedError):
                read(ImportKind.SLACK, archive[:position] + bytes([value]) + archive[position + 1 :])


def test_an_entry_without_a_name_is_no_file() -> None:
    # What the reader makes of a name that begins with NUL.
    archive = packed({**EXPORT, "~": b""}).replace(b"~", b"\0")
    with suppress(ImportRefusedError):
        assert links(read(ImportKind.SLACK, archive)) == links(read(ImportKind.SLACK, packed(EXPORT)))


@pytest.mark.parametrize("size", [1 << 63, 1 << 64, 10**400, -1, 1.5, True, "7", None, [], {}])
def test_a_size_that_is_none_costs_no_file(size: Any) -> None:
    [link] = links(read(ImportKind.SLACK, packed(one_file(size=size))))
    assert link.size is None


def one_file(**fields: Any) -> dict[str, Any]:
    return {
        **EXPORT,
        "general/2020-01-01.json": [{"files": [slack_file(**fields)]}],
        "secret/2020-01-01.json": [],
        "D1/2020-01-01.json": [],
    }


@pytest.mark.parametrize(
    "bad",
    [
        b'{"user": "\xff"}',
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"text": "cut \\ud83d"}',
        b'{"user": "\\udc00\\\\ud800\\ud83d\\ude00"}',
    ],
)
def test_a_message_that_cannot_be_read_costs_no_other(bad: bytes) -> None:
    good = json.dumps({"files": [slack_file("F77")]}).encode()
    items = read(ImportKind.SLACK, packed({**EXPORT, "general/2020-01-01.json": b"[" + bad + b"," + good + b"]"}))
    # What is nested too deep hides where the next one begins.
    assert ("F77" in {link.file_id for link in links(items)}) or (b"[[" in bad and skipped(items))


@pytest.mark.parametrize("name", ["users.json", "channels.json", "dms.json"])
@pytest.mark.parametrize("content", [b"[" * 200_000, b'["\xff"', b"{}", b"[1e999999]", b"nul"])
def test_a_list_that_cannot_be_read_is_refused_or_has_no_entries(name: str, content: bytes) -> None:
    with suppress(ImportRefusedError):
        assert not any(
            isinstance(item, FileLink) for item in read(ImportKind.SLACK, packed({"users.json": [], name: content}))
        )


@pytest.mark.parametrize(
    "start",
    [
        '<?xml version="1.0" encoding="utf-7"?>',
        '<?xml version="1.0" encoding="big5"?>',
        '<?xml version="1.0" encoding="x"?>',
    ],
)
def test_a_metalink_in_an_unknown_encoding_is_refused(start: str) -> None:
    with pytest.raises(ImportRefusedError, match="encoding"):
        read(ImportKind.METALINK, (start + METALINK.partition("?>")[2]).encode())


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "\u0663", "1_0", ""])
def test_a_metalink_with_odd_numbers_is_read(number: str) -> None:
    text = METALINK.replace('priority="1"', f'priority="{number}"').replace("14471447", number)
    first, _ = links(read(ImportKind.METALINK, text.encode()))
    assert first.size is None
    assert first.url.startswith("https://b.example")


def test_an_unknown_importer_is_refused_in_the_words_of_rocket_chat() -> None:
    assert parse_importer_key("slack") is ImportKind.SLACK
    for key in ("hipchat", "", "pending-files"):
        with pytest.raises(ImportRefusedError, match="has no import class defined") as refused:
            parse_importer_key(key)
        assert refused.value.code == "error-importer-not-defined"
