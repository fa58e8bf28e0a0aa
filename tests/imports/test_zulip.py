"""Exports of Zulip."""

import io
import json
import tarfile
from typing import Any

import pytest
from support.import_files import links, read, reasons, skipped

from downloadd.import_operation import Channel, ImportItem, MessageCount, SkippedEntry, WorkspaceUser
from downloadd.imports.refusal import ImportRefusedError

REALM = {
    "zerver_userprofile": [
        {"id": 1, "full_name": "Ann", "email": "user1@zulip", "delivery_email": "a@example.com", "is_active": True},
        {"id": 2, "full_name": "Robot", "is_active": False, "is_bot": True},
    ],
    "zerver_stream": [{"id": 10, "name": "general"},
                      {"id": 11, "name": "old", "invite_only": True, "deactivated": True}],
    "zerver_recipient": [{"id": 100, "type": 2, "type_id": 10}, {"id": 101, "type": 1, "type_id": 1},
                         {"id": 102, "type": 2, "type_id": 11}],
}  # fmt: skip
ATTACHMENTS = [
    {"id": 1, "path_id": "2/ab/xYz/report.pdf", "file_name": "report.pdf", "size": 3, "owner": 1, "messages": [7, 8]},
    {"id": 2, "path_id": "2/cd/qRs/photo.png", "file_name": "photo.png", "messages": [9]},
    {"id": 3, "path_id": "2/ef/tUv/draft.txt", "file_name": "draft.txt", "messages": []},
    {"id": 4, "path_id": "2/gh/gone.txt", "file_name": "gone.txt", "messages": [7]},
]
MESSAGES = [{"id": 7, "recipient": 100, "date_sent": 1.5}, {"id": 8, "recipient": 102}, {"id": 9, "recipient": 101},
            {"id": 10, "recipient": 100}]  # fmt: skip
MEMBERS: dict[str, Any] = {
    "realm.json": REALM,
    "attachment.json": {"zerver_attachment": ATTACHMENTS},
    "messages-000001.json": {"zerver_message": MESSAGES[:2]},
    "messages-000002.json": {"zerver_message": MESSAGES[2:]},
    "avatars/records.json": [{"path": "2/a.png", "user_profile_id": 1}, {"path": "2/a.original", "user_profile_id": 1}],
    "avatars/2/a.png": b"p",
    "avatars/2/a.original": b"p",
    "emoji/records.json": [{"path": "2/emoji/party.png"}, {"path": "2/emoji/x.png"}, {"path": "2/emoji/gone.png"}],
    "emoji/2/emoji/party.png": b"e",
    "emoji/2/emoji/x.png": b"x",
    "uploads/records.json": [],
    "uploads/2/ab/xYz/report.pdf": b"abc",
    "uploads/2/cd/qRs/photo.png": b"d",
    "uploads/2/ef/tUv/draft.txt": b"e",
    "uploads/2/alone": b"x",
    "notes.txt": b"x",
}

BARE: dict[str, Any] = {"realm.json": REALM, "attachment.json": {"zerver_attachment": []}}


def export(members: dict[str, Any] | None = None, top: str = "zulip-export-1/") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as target:
        for name, content in (MEMBERS if members is None else members).items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(f"{top}{name}")
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize("top", ["", "zulip-export-1/"])
def test_an_export_is_read(top: str) -> None:
    items = read("zulip", export(top=top))
    assert [item for item in items if isinstance(item, WorkspaceUser)] == [
        WorkspaceUser(user_id="1", username="Ann", email="a@example.com", avatar_member=f"{top}avatars/2/a.png"),
        WorkspaceUser(user_id="2", username="Robot", is_deleted=True, is_bot=True),
    ]
    assert [(one.channel_id, one.is_private, one.is_archived) for one in items if isinstance(one, Channel)] == [
        ("10", False, False),
        ("11", True, True),
        ("__directMessages__", True, False),
        ("__unattached__", False, False),
        ("__emoji__", False, False),
    ]
    assert [(link.name, link.channel_id, link.user, link.time) for link in links(items)] == [
        ("report.pdf", "10", "1", 1.5),
        ("report.pdf", "11", "1", None),
        ("photo.png", "__directMessages__", "", None),
        ("draft.txt", "__unattached__", "", None),
        ("party.png", "__emoji__", "", None),
        ("x.png", "__emoji__", "", None),
    ]
    assert links(items)[0].member == f"{top}uploads/2/ab/xYz/report.pdf"
    assert len({link.file_id for link in links(items)}) == 5
    assert sum(item.count for item in items if isinstance(item, MessageCount)) == 4


def test_what_is_not_taken_is_reported() -> None:
    items = read("zulip", export())
    skipped = [item for item in items if isinstance(item, SkippedEntry)]
    assert [(item.reason, item.channel_id or item.entry) for item in skipped] == [
        ("not_in_archive", "10"),
        ("not_in_archive", "__emoji__"),
        ("unreferenced", "zulip-export-1/uploads/2/alone"),
        ("unknown_entry", "zulip-export-1/notes.txt"),
    ]


def test_messages_that_cannot_be_decoded_are_reported() -> None:
    items = read("zulip", export({**MEMBERS, "messages-000001.json": b"nonsense"}))
    assert "damaged_entry" in reasons(items)
    assert {link.channel_id for link in links(items)} == {"__unattached__", "__directMessages__", "__emoji__"}


def avatar_members(items: list[ImportItem]) -> list[str]:
    return [item.avatar_member for item in items if isinstance(item, WorkspaceUser)]


def test_a_malformed_record_does_not_hide_the_others() -> None:
    avatars = [{"path": 5}, {"path": "2/gone.png", "user_profile_id": 2}, *MEMBERS["avatars/records.json"]]
    emoji = [{"path": "2/emoji/party.png"}, "nonsense", {"path": "2/emoji/x.png"}]
    items = read("zulip", export({**MEMBERS, "avatars/records.json": avatars, "emoji/records.json": emoji}))
    assert avatar_members(items) == ["zulip-export-1/avatars/2/a.png", ""]
    assert [link.name for link in links(items)][-2:] == ["party.png", "x.png"]
    found = [(item.reason, item.entry, item.line) for item in items if isinstance(item, SkippedEntry)]
    assert found == [
        ("malformed", "avatars/records.json", 1),
        ("not_in_archive", "avatars/records.json", None),
        ("not_in_archive", "", None),
        ("malformed", "emoji/records.json", 2),
        ("unreferenced", "zulip-export-1/uploads/2/alone", None),
        ("unknown_entry", "zulip-export-1/notes.txt", None),
    ]


def avatar_reports(records: list[dict[str, Any]], realm: dict[str, Any] = REALM) -> list[tuple[str, str, str]]:
    """Return reason, entry and detail of what is not taken of the avatars in an export with these records."""
    files = {f"avatars/2/{name}": b"p" for name in ("a.png", "b.png", "c.png", "b.original")}
    items = read("zulip", export({**BARE, "realm.json": realm, "avatars/records.json": records, **files}))
    skipped = [item for item in items if isinstance(item, SkippedEntry)]
    return [(item.reason, item.entry, item.detail) for item in skipped if item.reason != "unreferenced"]


@pytest.mark.parametrize("suffix", ["png", "original"])
@pytest.mark.parametrize(
    ("owner", "whom"),
    [({}, "no user"), ({"user_profile_id": 77}, "the user 77, whom realm.json does not have")],
)
def test_an_avatar_without_a_user_of_the_export_is_reported(owner: dict[str, int], whom: str, suffix: str) -> None:
    entry = f"avatars/2/b.{suffix}"
    assert avatar_reports([{"path": f"2/b.{suffix}", **owner}]) == [
        ("unknown_user", entry, f"the avatar belongs to {whom}")
    ]


@pytest.mark.parametrize("array", ["zerver_userprofile_crossrealm", "zerver_userprofile_mirrordummy"])
def test_users_of_the_server_and_of_other_accounts_have_their_avatars(array: str) -> None:
    realm = {**REALM, array: [{"id": 77, "email": "bot@zulip.example"}]}
    assert avatar_reports([{"path": "2/b.png", "user_profile_id": 77}], realm) == []


@pytest.mark.parametrize(
    ("names", "used", "reported"),
    [
        (("b.original", "b.png"), "b.png", []),
        (("b.png", "b.original"), "b.png", []),
        (("b.original",), "b.original", []),
        (("a.png", "b.png"), "b.png", ["avatars/2/a.png"]),
        (("a.png", "a.png"), "a.png", []),
    ],
)
def test_one_avatar_of_a_user_is_used_and_the_others_are_reported(
    names: tuple[str, ...], used: str, reported: list[str]
) -> None:
    records = [{"path": f"2/{name}", "user_profile_id": 1} for name in names]
    files = {f"avatars/2/{name}": b"p" for name in names}
    items = read("zulip", export({**BARE, "avatars/records.json": records, **files}))
    assert avatar_members(items) == [f"zulip-export-1/avatars/2/{used}", ""]
    found = [(item.reason, item.entry) for item in items if isinstance(item, SkippedEntry)]
    assert found == [("duplicate_entry", entry) for entry in reported]


def test_a_link_in_the_archive_is_reported() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as target:
        for name, content in BARE.items():
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("uploads/2/ab/link.pdf")
        link.type, link.linkname = tarfile.SYMTYPE, "report.pdf"
        target.addfile(link)
    assert [(item.reason, item.entry) for item in read("zulip", file.getvalue()) if isinstance(item, SkippedEntry)] == [
        ("unknown_entry", "uploads/2/ab/link.pdf")
    ]


def test_emoji_of_an_export_from_s3_are_all_taken() -> None:
    names = ("a.png", "b.png")
    records = [{"s3_path": f"2/emoji/images/{name}"} for name in names]
    files = {f"emoji/2/emoji/images/{name}": b"e" for name in names}
    items = read("zulip", export({**BARE, "emoji/records.json": records, **files}))
    assert [link.name for link in links(items)] == list(names)
    assert len({link.file_id for link in links(items)}) == 2


def test_an_upload_that_is_called_like_a_list_is_reported() -> None:
    uploads = {f"uploads/2/ab/{name}": b"x" for name in ("records.json", "sales-records.json")}
    items = read("zulip", export({**BARE, "uploads/records.json": [], **uploads}))
    assert [(item.reason, item.entry) for item in items if isinstance(item, SkippedEntry)] == [
        ("unreferenced", f"zulip-export-1/{name}") for name in uploads
    ]


def test_a_long_list_of_avatars_is_read() -> None:
    data = b"[%s%s" % (b" " * (17 << 20), json.dumps(MEMBERS["avatars/records.json"])[1:].encode())
    items = read("zulip", export({**MEMBERS, "avatars/records.json": data}))
    assert avatar_members(items) == ["zulip-export-1/avatars/2/a.png", ""]
    assert reasons(items) == reasons(read("zulip", export()))


def test_a_list_of_avatars_that_is_truncated_is_reported() -> None:
    data = json.dumps(MEMBERS["avatars/records.json"])[:-1].encode()
    items = read("zulip", export({**MEMBERS, "avatars/records.json": data}))
    assert avatar_members(items) == ["zulip-export-1/avatars/2/a.png", ""]
    assert reasons(items)[0] == "damaged_entry"
    assert skipped(items)[0].startswith("after 2 records: ")


@pytest.mark.parametrize("members", [{"a.txt": b"x"}, {"realm.json": b"nonsense"}, {"realm.json": []}])
def test_another_archive_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ImportRefusedError, match=r"realm\.json"):
        read("zulip", export(members))


@pytest.mark.parametrize("top", ["", "zulip-export-1/"])
def test_an_upload_may_have_the_name_of_the_list_of_users(top: str) -> None:
    attachment = {"path_id": "2/ab/x/realm.json", "file_name": "realm.json", "messages": [7]}
    upload = {"uploads/2/ab/x/realm.json": b"[]"}
    items = read("zulip", export({**upload, **MEMBERS, "attachment.json": {"zerver_attachment": [attachment]}}, top))
    assert links(items)[0].member == f"{top}uploads/2/ab/x/realm.json"
    assert [item.user_id for item in items if isinstance(item, WorkspaceUser)] == ["1", "2"]


def test_a_missing_list_of_uploaded_files_is_reported_as_missing() -> None:
    items = read("zulip", export({"realm.json": REALM, "uploads/2/alone": b"x"}))
    assert reasons(items) == ["not_in_archive", "unreferenced"]
    assert skipped(items)[0] == "the archive does not contain attachment.json, the list of uploaded files"
