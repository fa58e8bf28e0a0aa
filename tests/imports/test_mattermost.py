"""Bulk exports of Mattermost."""

import json
from contextlib import suppress
from typing import Any

import pytest
from support.import_files import links, packed, read, reasons

from downloadd.import_operation import Channel, ImportItem, MessageCount, SkippedEntry, WorkspaceUser
from downloadd.imports.refusal import ImportRefusedError

LINES: list[dict[str, Any]] = [
    {"type": "version", "version": 1},
    {"type": "emoji", "emoji": {"name": "party", "image": "emoji/party.png"}},
    {"type": "team", "team": {"name": "acme"}},
    {"type": "channel", "channel": {"team": "acme", "name": "town", "display_name": "Town", "type": "O"}},
    {"type": "channel", "channel": {"team": "acme", "name": "secret", "type": "P", "deleted_at": 5}},
    {"type": "user", "user": {"username": "ann", "email": "a@example.com", "profile_image": "profile/ann.png"}},
    {"type": "user", "user": {"username": "bob", "delete_at": 7}},
    {"type": "post", "post": {"team": "acme", "channel": "town", "user": "ann", "create_at": 1500,
                              "attachments": [{"path": "20210401/a.pdf"}, {"path": "20210401/gone.pdf"}],
                              "replies": [{"user": "bob", "create_at": 2500, "attachments": [{"path": "b.pdf"}]}]}},
    {"type": "post", "post": {"team": "acme", "channel": "unknown", "user": "ann", "attachments": [{"path": "b.pdf"}]}},
    {"type": "direct_post", "direct_post": {"channel_members": ["ann", "bob"], "user": "ann",
                                            "attachments": [{"path": "data\\c.pdf"}]}},
    {"type": "role", "role": {}},
]  # fmt: skip
FILES = {f"data/{name}": b"x" for name in ("20210401/a.pdf", "b.pdf", "c.pdf", "emoji/party.png", "alone")}


def jsonl(lines: list[dict[str, Any]] = LINES) -> bytes:
    return "\n".join(json.dumps(line) for line in lines).encode()


def export(**members: bytes) -> bytes:
    return packed({"import.jsonl": jsonl(), "data/profile/ann.png": b"p", **FILES, **members})


def test_a_bulk_export_is_read() -> None:
    items = read("mattermost", export())
    assert [item for item in items if isinstance(item, WorkspaceUser)] == [
        WorkspaceUser(user_id="ann", username="ann", email="a@example.com", avatar_member="data/profile/ann.png"),
        WorkspaceUser(user_id="bob", username="bob", is_deleted=True),
    ]
    assert [
        (one.channel_id, one.name, one.is_private, one.is_archived) for one in items if isinstance(one, Channel)
    ] == [
        ("__emoji__", "Emoji", False, False),
        ("acme/town", "Town", False, False),
        ("acme/secret", "secret", True, True),
        ("acme/unknown", "unknown", False, False),
        ("__directMessages__", "Direct Messages", True, False),
    ]
    assert [(link.member, link.channel_id, link.user, link.time) for link in links(items)] == [
        ("data/emoji/party.png", "__emoji__", "", None),
        ("data/20210401/a.pdf", "acme/town", "ann", 1.5),
        ("data/b.pdf", "acme/town", "bob", 2.5),
        ("data/b.pdf", "acme/unknown", "ann", None),
        ("data/c.pdf", "__directMessages__", "ann", None),
    ]
    assert sum(item.count for item in items if isinstance(item, MessageCount)) == 4
    assert [(item.reason, item.line, item.entry) for item in items if isinstance(item, SkippedEntry)] == [
        ("not_in_archive", 8, "import.jsonl"),
        ("unreferenced", None, "data/alone"),
    ]


def test_the_same_file_of_two_channels_has_one_id() -> None:
    by_member = {(link.member, link.file_id) for link in links(read("mattermost", export()))}
    assert len(by_member) == 4


def test_a_malformed_line_does_not_hide_the_others() -> None:
    data = jsonl(LINES[:4]) + b"\nnonsense\n[]\n" + jsonl(LINES[4:])
    items = read("mattermost", packed({"a.jsonl": data, "notes.txt": "x", **FILES}))
    assert len(links(items)) == 5
    assert reasons(items)[:2] == ["malformed", "malformed"]
    assert "unknown_entry" in reasons(items)


def test_a_line_without_the_content_of_its_type_is_reported() -> None:
    types = ("post", "direct_post", "channel", "user", "emoji")
    lines = [*LINES, *({"type": type, type: None} for type in types), {"type": "post"}, {"type": "team"}]
    items = read("mattermost", export(**{"import.jsonl": jsonl(lines)}))
    found = [(item.reason, item.line) for item in items if isinstance(item, SkippedEntry)]
    assert found[1:-1] == [("malformed", len(LINES) + number) for number in range(1, 7)]


def reports(lines: list[dict[str, Any]], **members: bytes) -> list[tuple[str, int | None, str]]:
    """Return reason, line and detail of what is not taken of an export of these lines, apart from the usual entries."""
    usual = {f"data/{name}" for name in ("20210401/a.pdf", "b.pdf", "c.pdf", "emoji/party.png", "alone")}
    items = read("mattermost", packed({"import.jsonl": jsonl([LINES[0], *lines]), **FILES, **members}))
    return [
        (item.reason, item.line, item.detail)
        for item in items
        if isinstance(item, SkippedEntry) and item.entry not in usual
    ]


@pytest.mark.parametrize("kind", ["user", "bot"])
def test_a_picture_that_the_archive_lacks_is_reported(kind: str) -> None:
    line = {"type": kind, kind: {"username": "ann", "profile_image": "profile/ann.png"}}
    expected = [("not_in_archive", 2, "the archive does not contain 'profile/ann.png'")]
    assert reports([line]) == expected
    assert reports([line], **{"data/profile/ann.png": b"p"}) == []


def test_a_bot_is_a_user_with_its_picture() -> None:
    line = {"type": "bot", "bot": {"username": "robot", "owner": "ann", "profile_image": "profile/ann.png"}}
    items = read("mattermost", export(**{"import.jsonl": jsonl([LINES[0], line])}))
    assert [item for item in items if isinstance(item, WorkspaceUser)] == [
        WorkspaceUser(user_id="robot", username="robot", is_bot=True, avatar_member="data/profile/ann.png")
    ]


def test_a_line_of_an_unknown_type_is_reported_and_one_that_names_no_file_is_not() -> None:
    known: list[dict[str, Any]] = [
        {"type": kind, kind: {}} for kind in ("version", "role", "scheme", "team", "direct_channel")
    ]
    detail = "exports of Mattermost have no lines of the type 'playbook'"
    assert reports([*known, {"type": "playbook", "post": {}}]) == [("unknown_line", 7, detail)]


def test_a_malformed_attachment_or_reply_does_not_hide_the_others() -> None:
    reply = {"attachments": [{"path": "b.pdf"}, None]}
    post = {"team": "acme", "channel": "town", "attachments": [{}, {"path": "c.pdf"}], "replies": [5, reply]}
    items = read("mattermost", export(**{"import.jsonl": jsonl([LINES[0], {"type": "post", "post": post}])}))
    assert [link.member for link in links(items)] == ["data/c.pdf", "data/b.pdf"]
    found = [item for item in items if isinstance(item, SkippedEntry) and item.reason == "malformed"]
    assert [(item.line, item.channel_id) for item in found] == [(2, "acme/town")] * 3


def test_an_attachment_may_be_a_jsonl_file() -> None:
    post = {"type": "post", "post": {"team": "a", "channel": "b", "attachments": [{"path": "log.jsonl"}]}}
    items = read("mattermost", packed({"import.jsonl": jsonl([LINES[0], post]), "data/log.jsonl": "{}"}))
    assert ([link.member for link in links(items)], reasons(items)) == (["data/log.jsonl"], [])


def test_empty_lines_count_in_the_number_of_a_line() -> None:
    data = jsonl(LINES[:1]) + b"\n\n\nnonsense\n"
    items = read("mattermost", packed({"import.jsonl": data}))
    assert [item.line for item in items if isinstance(item, SkippedEntry)] == [4]


def test_attachments_of_a_bare_list_are_elsewhere() -> None:
    assert set(reasons(read("mattermost", jsonl()))) == {"not_in_archive"}


@pytest.mark.parametrize("data", [b"", packed({"a.txt": "x"}), jsonl(LINES[1:]), b"http://a/\n"])
def test_another_file_is_refused_or_has_nothing(data: bytes) -> None:
    items: list[ImportItem] = []
    with suppress(ImportRefusedError):
        items = read("mattermost", data)
    assert items == []


def test_an_export_may_be_in_a_directory_of_its_archive() -> None:
    attachment = {"type": "post", "post": {"team": "acme", "channel": "town", "attachments": [{"path": "log.jsonl"}]}}
    members = {
        "import.jsonl": jsonl([*LINES, attachment]),
        "data/profile/ann.png": b"p",
        **FILES,
        "data/log.jsonl": b"{}",
    }
    items = read("mattermost", packed({f"acme export/{name}": content for name, content in members.items()}))
    assert len(links(items)) == 6
    assert links(items)[-1].member == "acme export/data/log.jsonl"
    assert [(item.reason, item.entry) for item in items if isinstance(item, SkippedEntry)] == [
        ("not_in_archive", "acme export/import.jsonl"),
        ("unreferenced", "acme export/data/alone"),
    ]
