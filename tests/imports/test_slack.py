"""Reading of Slack exports."""

import io
import json
import tracemalloc
import unicodedata
import zipfile
from contextlib import suppress
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.import_files import EXPORT, links, packed, read, reasons, skipped, slack_file

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    MessageCount,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.imports import json_structs
from downloadd.imports.importers import IMPORTERS
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
        *((id, "C1") for id in ("F1", "F1", "F2", "F3", "F4")), ("F8", "G1"), ("F9", DIRECT_MESSAGES_CHANNEL_ID),
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
    assert reasons(items) == ["deleted", "hidden_by_limit", "external"]


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
    # Two users, and the channel C2 that has its id as its name; a message, a file, an element of 2.json twice, 3.json,
    # the folder without a channel, the text.
    assert sorted(reasons(items)) == sorted(
        ["malformed"] * 2
        + ["malformed", "no_link"]
        + ["malformed"] * 2
        + ["damaged_entry"] * 2
        + ["unknown_channel"]
        + ["unknown_entry"]
    )


def test_the_scheme_of_a_link_may_have_upper_case() -> None:
    files = [slack_file("F1", url_private_download="HTTPS://files.slack.com/F1")]
    day = [{"ts": "1", "files": files}]
    items = read("slack", packed({"channels.json": [{"id": "C1", "name": "general"}], "general/1.json": day}))
    assert [link.url for link in links(items)] == ["HTTPS://files.slack.com/F1"]


@pytest.mark.parametrize(
    ("title", "name"),
    [("Release 1.2 plan", "Release 1.2 plan.html"), ("Plan", "Plan.html"), ("a.html", "a.html"), ("b.HTM", "b.HTM")],
)
def test_a_canvas_is_saved_as_a_page(title: str, name: str) -> None:
    files = [slack_file("F1", name=None, title=title, mode="quip")]
    day = [{"ts": "1", "files": files}]
    items = read("slack", packed({"channels.json": [{"id": "C1", "name": "general"}], "general/1.json": day}))
    assert [link.name for link in links(items)] == [name]


def test_a_malformed_attachment_is_reported() -> None:
    attachments = [{"files": slack_file("F1")}, {"files": [slack_file("F2")]}, {"files": None}, {"text": "x"}]
    day = [{"ts": "1"}, {"ts": "2", "attachments": attachments}]
    items = read("slack", packed({"channels.json": [{"id": "C1", "name": "general"}], "general/1.json": day}))
    assert [link.file_id for link in links(items)] == ["F2"]
    assert [item for item in items if isinstance(item, SkippedEntry)] == [
        SkippedEntry(
            reason=SkipReason.MALFORMED,
            detail="an attachment of the message cannot be decoded",
            entry="general/1.json",
            line=2,
            channel_id="C1",
        )
    ]


def test_a_truncated_day_yields_the_messages_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    day = json.dumps([{"ts": "1", "files": [slack_file("F1")]}, {"ts": "2", "files": [slack_file("F2")]}])
    items = read("slack", packed({**EXPORT, "general/2020-01-01.json": day[:-20]}))
    assert links(items)[0].file_id == "F1"
    assert "truncated" in skipped(items)[0]


def test_an_export_that_is_decoded_element_by_element_has_the_same_items(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = read("slack", packed(EXPORT))
    monkeypatch.setattr(json_structs, "MAX_DECODED_BYTES", 0)
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


def day(*messages: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return an export with one channel that has these messages on one day."""
    return {
        "users.json": [{"id": "U1", "name": "ann"}],
        "channels.json": [{"id": "C1", "name": "general"}],
        "general/2020-01-01.json": list(messages),
        **members,
    }


def test_a_null_is_an_empty_list() -> None:
    members = day({"ts": "1", "files": None, "attachments": None, "user": None}, {"files": [None, slack_file()]})
    members |= {"groups.json": "null", "mpims.json": "null", "dms.json": "null", "general/2020-01-02.json": "null"}
    members["users.json"] = [{"id": "U1", "name": None, "deleted": None, "profile": None}]
    items = read("slack", packed(members))
    assert len(links(items)) == 1
    assert reasons(items) == []


def test_the_users_of_an_enterprise_grid_are_in_a_list_of_their_own() -> None:
    members = {**day(), "org_users.json": [{"id": "W1", "name": "ann"}]}
    del members["users.json"]
    assert [item.user_id for item in read("slack", packed(members)) if isinstance(item, WorkspaceUser)] == ["W1"]


def test_the_workspaces_of_an_enterprise_grid_are_in_directories_of_their_own() -> None:
    members = {"org_users.json": [{"id": "W1", "name": "ann"}], "channels.json": [{"id": "C0", "name": "all"}],
               "all/1.json": [{"files": [slack_file("F0")]}]}  # fmt: skip
    for team in ("a", "b"):
        members[f"teams/{team}/channels.json"] = [{"id": f"C{team}", "name": "general"}]
        members[f"teams/{team}/general/1.json"] = [{"files": [slack_file(f"F{team}")]}]
    items = read("slack", packed(members))
    assert [(link.file_id, link.channel_id) for link in links(items)] == [("F0", "C0"), ("Fa", "Ca"), ("Fb", "Cb")]
    assert reasons(items) == []


def test_a_directory_is_named_by_the_name_or_the_id_of_its_channel() -> None:
    members = day(
        **{"C1/2020-01-02.json": [{"files": [slack_file("F2")]}], "C9/1.json": [{"files": [slack_file("F3")]}]}
    )
    members["channels.json"].append({"id": "C9"})
    assert [(link.file_id, link.channel_id) for link in links(read("slack", packed(members)))] == [
        ("F2", "C1"),
        ("F3", "C9"),
    ]


def test_files_of_forwarded_messages_are_taken() -> None:
    message = {"ts": "1", "attachments": [{"text": "x"}, {"files": [slack_file("F1"), None]}, {"files": None}, "odd"]}
    assert [link.file_id for link in links(read("slack", packed(day(message))))] == ["F1"]


def test_a_file_that_cannot_be_decoded_does_not_hide_the_others_of_its_message() -> None:
    items = read("slack", packed(day({"ts": "1", "files": [slack_file("F1"), {"id": 5}, "odd", slack_file("F2")]})))
    assert [link.file_id for link in links(items)] == ["F1", "F2"]
    assert reasons(items) == ["malformed", "malformed"]


@pytest.mark.parametrize(
    ("ts", "time"),
    [(None, None), (1577836800.5, 1577836800.5), (1577836800, 1577836800.0), ("inf", None), ("nan", None)],
)
def test_a_message_whose_time_is_no_text_keeps_its_files(ts: object, time: float | None) -> None:
    items = read("slack", packed(day({"ts": ts, "files": [slack_file("F1")]})))
    assert [(link.file_id, link.time) for link in links(items)] == [("F1", time)]
    assert reasons(items) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mode": "tombstone"}, "deleted"),
        ({"mode": "hidden_by_limit"}, "hidden_by_limit"),
        ({"mode": "file_access", "file_access": "check_file_info"}, "not_visible"),
        ({"mode": "external", "url_private_download": None}, "external"),
        ({"url_private_download": None}, "no_link"),
        ({"url_private_download": "attachments/F1-x"}, "not_in_archive"),
        ({"id": ""}, "no_link"),
    ],
)
def test_a_file_that_cannot_be_had_has_a_reason_and_its_place(fields: dict[str, Any], reason: str) -> None:
    items = read("slack", packed(day({"ts": "5.5", "files": [{**slack_file("F1"), **fields}]})))
    [entry] = [item for item in items if isinstance(item, SkippedEntry)]
    assert (entry.reason, entry.entry, entry.message) == (reason, "general/2020-01-01.json", "5.5")
    assert (entry.channel_id, entry.file_id) == ("C1", fields.get("id", "F1"))


def test_every_mention_of_a_file_is_read() -> None:
    """The one to use is decided after the selection."""
    stub = {"id": "F1", "mode": "tombstone"}
    members = day({"files": [stub]}, {"files": [slack_file("F1")]})
    members["channels.json"].append({"id": "C2", "name": "other"})
    members["other/1.json"] = [{"files": [slack_file("F1")]}]
    items = read("slack", packed(members))
    assert [link.channel_id for link in links(items)] == ["C1", "C2"]
    assert reasons(items) == ["deleted"]


@pytest.mark.parametrize("mode", ["quip", "canvas", "space", "docs"])
def test_canvases_and_posts_are_pages(mode: str) -> None:
    file = slack_file(
        "F1", mode=mode, mimetype="application/vnd.slack-docs", name="Road map", url_private_download=None
    )
    [link] = links(read("slack", packed(day({"files": [file]}))))
    assert (link.url, link.content_type, link.name) == (file["url_private"], None, "Road map.html")


def test_canvases_of_a_list_have_a_channel_of_their_own() -> None:
    items = read("slack", packed(day(**{"canvases.json": [slack_file("F7", mode="quip"), {"id": "F8"}, 5]})))
    assert [(link.file_id, link.channel_id) for link in links(items)] == [("F7", "__canvases__")]
    assert reasons(items) == ["no_link", "malformed"]


def test_comments_on_canvases_are_in_directories_of_their_conversations() -> None:
    members = day(**{
        "file_conversations.json": [{"id": "C7", "name": "FC:F7:Road map"}],
        "FC:F7:Road map/2020-01-01.json": [{"files": [slack_file()]}],
        "integration_logs.json": [],
    })  # fmt: skip
    items = read("slack", packed(members))
    assert [link.channel_id for link in links(items)] == ["C7"]
    assert reasons(items) == []


@pytest.mark.parametrize("place", ["__uploads/F1/tedair.gif", "general/attachments/F1-tedair.gif", "attachments/F1-a"])
def test_a_file_in_the_archive_is_taken_from_it(place: str) -> None:
    members = {"__avatars/U1/ann.png": b"p", place: b"content", "__uploads/F9/alone": b"x"}
    items = read("slack", packed(day({"files": [{"id": "F1", "mode": "tombstone"}]}, **members)))
    assert [(link.file_id, link.member, link.url) for link in links(items)] == [("F1", place, "")]
    assert [item.avatar_member for item in items if isinstance(item, WorkspaceUser)] == ["__avatars/U1/ann.png"]
    assert reasons(items) == ["unreferenced"]


def test_a_list_of_very_many_users_is_read_in_little_memory() -> None:
    user = {"id": "U%d", "name": "n", "profile": {"email": "a@example.com", "title": "x" * 1500}}
    form = json.dumps(user)
    data = packed(day(**{"users.json": "[" + ",".join(form.replace("%d", str(n)) for n in range(20_000)) + "]"}))
    tracemalloc.start()
    try:
        assert sum(isinstance(item, WorkspaceUser) for item in IMPORTERS["slack"].read(io.BytesIO(data))) == 20_000
        assert tracemalloc.get_traced_memory()[1] < (12 << 20)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["users.json", "channels.json", "dms.json", "canvases.json"])
def test_a_file_of_a_message_may_have_the_name_of_a_list(name: str) -> None:
    members = {
        "users.json": [{"id": "U1", "name": "ann"}],
        "channels.json": [{"id": "C1", "name": "general"}],
        "general/2020-01-01.json": [{"ts": "1", "files": [slack_file("F1", name=name), slack_file("F2", name=name)]}],
        f"__uploads/F1/{name}": b'{"not": "a list"}',
        f"__uploads/F2/{name}": b'[{"id": "C2", "name": "not a channel"}]',
    }
    items = read("slack", packed(members))
    assert [link.member for link in links(items)] == [f"__uploads/F1/{name}", f"__uploads/F2/{name}"]
    assert [item.channel_id for item in items if isinstance(item, Channel)] == ["C1"]
    assert reasons(items) == []


def test_uploads_are_no_lists_of_an_archive_without_lists() -> None:
    with pytest.raises(ImportRefusedError, match="is it an export of Slack"):
        read("slack", packed({"__uploads/F1/users.json": b"[]", "general/2020-01-01.json": b"[]"}))
