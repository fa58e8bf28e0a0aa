"""Reading of Slack exports."""

import io
import json
import unicodedata
import zipfile
from contextlib import suppress
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.import_files import EXPORT, links, packed, read, skipped, slack_file

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    MessageCount,
    WorkspaceUser,
)
from downloadd.imports import slack
from downloadd.imports.refusal import ImportRefusedError


@pytest.mark.parametrize("top", ["", "export of acme/"])
def test_an_export_is_read(top: str) -> None:
    items = read("slack", packed({f"{top}{name}": content for name, content in EXPORT.items()}))
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


def test_malformed_entries_are_skipped() -> None:
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
    items = read("slack", packed(broken))
    assert [link.file_id for link in links(items)] == ["F1", "F2"]
    assert [link.time for link in links(items)] == [1.0, None]
    assert len(skipped(items)) == 3 + 2 + 4 + 1


def test_a_truncated_day_yields_the_messages_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    day = json.dumps([{"ts": "1", "files": [slack_file("F1")]}, {"ts": "2", "files": [slack_file("F2")]}])
    items = read("slack", packed({**EXPORT, "general/2020-01-01.json": day[:-20]}))
    assert links(items)[0].file_id == "F1"
    assert "truncated" in skipped(items)[0]


@pytest.mark.parametrize("limit", ["_MAX_DECODED_BYTES", "_MAX_DECODED_OBJECTS", "_MAX_DECODED_QUOTES"])
def test_an_export_that_is_decoded_element_by_element_has_the_same_items(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    at_once = read("slack", packed(EXPORT))
    monkeypatch.setattr(slack, limit, 0)
    assert read("slack", packed(EXPORT)) == at_once


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"a.txt": "x"}, id="no export"),
        pytest.param({"users.json": "[{"}, id="users cut"),
        pytest.param({"users.json": {"a": 1}}, id="users no list"),
        pytest.param({"channels.json": [], "users.json": "nonsense"}, id="users nonsense"),
    ],
)
def test_a_file_that_is_not_an_export_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ImportRefusedError):
        read("slack", packed(members))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_directories_are_found_in_composed_and_decomposed_names(form: Literal["NFC", "NFD"]) -> None:
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
    assert [link.channel_id for link in links(read("slack", bytes(data)))] == ["C1"]


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


@settings(max_examples=60)
@given(
    name=st.sampled_from(["users.json", "channels.json", "dms.json", "general/2020-01-01.json"]),
    content=SHAPES.map(json.dumps).map(str.encode) | st.lists(SHAPES).map(json.dumps).map(str.encode) | st.binary(),
    cut=st.integers(0, 9),
)
def test_an_export_with_any_json_or_bytes_is_read_or_refused(name: str, content: bytes, cut: int) -> None:
    for data in (content, content[:-cut], b"[" + content + b', {"id": "F"}]'):
        with suppress(ImportRefusedError):
            for item in read("slack", packed({**EXPORT, name: data})):
                msgspec.json.encode(item)


@pytest.mark.parametrize("size", [1 << 63, 1 << 64, 10**400, -1, 1.5, True, "7", None, [], {}])
def test_an_invalid_size_is_ignored(size: Any) -> None:
    [link] = links(read("slack", packed(one_file(size=size))))
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
def test_a_message_that_cannot_be_decoded_is_skipped(bad: bytes) -> None:
    good = json.dumps({"files": [slack_file("F77")]}).encode()
    items = read("slack", packed({**EXPORT, "general/2020-01-01.json": b"[" + bad + b"," + good + b"]"}))
    # What is nested too deep hides where the next one begins.
    assert ("F77" in {link.file_id for link in links(items)}) or (b"[[" in bad and skipped(items))


@pytest.mark.parametrize("name", ["users.json", "channels.json", "dms.json"])
@pytest.mark.parametrize("content", [b"[" * 200_000, b'["\xff"', b"{}", b"[1e999999]", b"nul"])
def test_a_list_that_cannot_be_decoded_is_refused_or_has_no_entries(name: str, content: bytes) -> None:
    with suppress(ImportRefusedError):
        assert not any(isinstance(item, FileLink) for item in read("slack", packed({"users.json": [], name: content})))
