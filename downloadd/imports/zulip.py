"""Exports of Zulip: https://zulip.com/help/export-your-organization.

The tar.gz contains one directory with `realm.json` (users, channels, recipients), `messages-000001.json` and others,
`attachment.json` (which message has which file), and the files in `uploads/`. Avatars and custom emoji are in
`avatars/` and `emoji/`, each with a `records.json`.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportItem,
    MessageCount,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.imports.archive import report_duplicates
from downloadd.imports.json_structs import DECODE_ERRORS
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError
from downloadd.imports.tar_archive import TarArchive
from downloadd.imports.url_list import derive_file_id

T = TypeVar("T")

UNATTACHED_CHANNEL_ID: Final = "__unattached__"
"""Id of the channel of files that no message contains."""
EMOJI_CHANNEL_ID: Final = "__emoji__"
"""Id of the channel of custom emoji."""

_STREAM_RECIPIENT: Final = 2
"""Type of a recipient that is a channel; the others are users and groups of them."""
_MESSAGES: Final = re.compile(r"messages-\d+\.json")
_REALM_FILES: Final = frozenset({"realm.json", "attachment.json", "migration_status.json", "export_settings.json"})
_WITHOUT_FILES: Final = frozenset({"analytics.json"})
_RECORDS: Final = "records.json"
_UPLOADS: Final = "uploads/"
_AVATARS: Final = "avatars/"
_FILE_DIRECTORIES: Final = (_UPLOADS, _AVATARS, "emoji/", "realm_icons/")
_MAX_SHOWN_CHARACTERS: Final = 80


class _User(msgspec.Struct, gc=False):
    id: int
    full_name: str = ""
    email: str = ""
    delivery_email: str = ""
    is_active: bool = True
    is_bot: bool = False


class _Stream(msgspec.Struct, gc=False):
    id: int
    name: str = ""
    invite_only: bool = False
    deactivated: bool = False


class _Recipient(msgspec.Struct, gc=False):
    id: int
    type: int
    type_id: int


class _Realm(msgspec.Struct, gc=False):
    zerver_userprofile: list[_User] = []
    zerver_userprofile_crossrealm: list[_User] = []
    zerver_stream: list[_Stream] = []
    zerver_recipient: list[_Recipient] = []


class _Attachment(msgspec.Struct, gc=False):
    path_id: str
    file_name: str = ""
    size: int | None = None
    owner: int | None = None
    messages: list[int] = []


class _Attachments(msgspec.Struct, gc=False):
    zerver_attachment: list[_Attachment] = []


class _Message(msgspec.Struct, gc=False):
    id: int
    recipient: int | None = None
    sender: int | None = None
    date_sent: float | None = None


class _Messages(msgspec.Struct, gc=False):
    zerver_message: list[_Message] = []


class _Record(msgspec.Struct, gc=False):
    path: str = ""
    s3_path: str = ""
    user_profile_id: int | None = None
    content_type: str | None = None


def read_zulip(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the items of an export; see `importers.Reader`."""
    with TarArchive(file) as archive:
        yield from _Export(archive).items()


class _Export:
    """Export in an open archive."""

    def __init__(self, archive: TarArchive) -> None:
        self._archive = archive
        self._top = _find_top_folder(archive)
        self._channels: dict[int, str] = {}
        self._used: set[str] = set()
        self._has_unattached = False

    def items(self) -> Iterator[ImportItem]:
        realm = self._require("realm.json", _Realm)
        attachments = self._decode("attachment.json", _Attachments) or _Attachments()
        yield from self._users(realm)
        yield from self._streams(realm)
        messages: dict[int, _Message] = {
            id: _Message(id) for one in attachments.zerver_attachment for id in one.messages
        }
        yield from self._read_messages(messages)
        for attachment in attachments.zerver_attachment:
            yield from self._attachment(attachment, messages)
        yield from self._emoji()
        yield from self._unused()

    def _users(self, realm: _Realm) -> Iterator[ImportItem]:
        avatars: dict[int | None, str] = {}
        for record in self._records(_AVATARS):
            member = self._member(_AVATARS, record)
            # The original, in any format, is the same avatar.
            if member and not member.endswith(".original"):
                avatars[record.user_profile_id] = member
        for user in realm.zerver_userprofile:
            yield WorkspaceUser(
                user_id=str(user.id),
                username=user.full_name or str(user.id),
                email=user.delivery_email or user.email,
                is_deleted=not user.is_active,
                is_bot=user.is_bot,
                avatar_member=avatars.get(user.id, ""),
            )

    def _streams(self, realm: _Realm) -> Iterator[ImportItem]:
        for stream in realm.zerver_stream:
            yield Channel(
                channel_id=str(stream.id),
                name=stream.name or str(stream.id),
                is_archived=stream.deactivated,
                is_private=stream.invite_only,
            )
        yield Channel(channel_id=DIRECT_MESSAGES_CHANNEL_ID, name="Direct Messages", is_private=True, is_direct=True)
        for recipient in realm.zerver_recipient:
            is_stream = recipient.type == _STREAM_RECIPIENT
            self._channels[recipient.id] = str(recipient.type_id) if is_stream else DIRECT_MESSAGES_CHANNEL_ID

    def _read_messages(self, messages: dict[int, _Message]) -> Iterator[ImportItem]:
        """Fill in the messages that have attachments, and count all."""
        for name in self._archive.names:
            path = name.removeprefix(self._top)
            if not _MESSAGES.fullmatch(path):
                continue
            page = self._decode(path, _Messages)
            if page is None:
                yield SkippedEntry(
                    reason=SkipReason.DAMAGED_ENTRY, detail="the messages cannot be decoded", entry=_shorten(name)
                )
                continue
            for message in page.zerver_message:
                if message.id in messages:
                    messages[message.id] = message
            yield MessageCount(count=len(page.zerver_message))

    def _attachment(self, attachment: _Attachment, messages: dict[int, _Message]) -> Iterator[ImportItem]:
        member = f"{self._top}{_UPLOADS}{attachment.path_id}"
        found = [messages[id] for id in attachment.messages] or [_Message(0)]
        for message in found:
            channel_id = self._channels.get(message.recipient or 0, UNATTACHED_CHANNEL_ID)
            if channel_id == UNATTACHED_CHANNEL_ID and not self._has_unattached:
                self._has_unattached = True
                yield Channel(channel_id=UNATTACHED_CHANNEL_ID, name="Files without a message")
            if member not in self._archive:
                yield SkippedEntry(
                    reason=SkipReason.NOT_IN_ARCHIVE,
                    detail=f"the archive does not contain {_shorten(attachment.path_id)!r}",
                    message=str(message.id or ""),
                    file_id=derive_file_id(attachment.path_id),
                    channel_id=channel_id,
                )
                continue
            self._used.add(member)
            yield FileLink(
                file_id=derive_file_id(attachment.path_id),
                member=member,
                name=attachment.file_name or member.rpartition("/")[2],
                channel_id=channel_id,
                user="" if attachment.owner is None else str(attachment.owner),
                time=message.date_sent,
            )

    def _emoji(self) -> Iterator[ImportItem]:
        for number, record in enumerate(self._records("emoji/")):
            if not number:
                yield Channel(channel_id=EMOJI_CHANNEL_ID, name="Emoji")
            member = self._member("emoji/", record)
            if member:
                yield FileLink(
                    file_id=derive_file_id(record.path),
                    member=member,
                    name=member.rpartition("/")[2],
                    channel_id=EMOJI_CHANNEL_ID,
                )
            else:
                yield SkippedEntry(
                    reason=SkipReason.NOT_IN_ARCHIVE,
                    detail=f"the archive does not contain {_shorten(record.path)!r}",
                    channel_id=EMOJI_CHANNEL_ID,
                )

    def _unused(self) -> Iterator[ImportItem]:
        yield from report_duplicates(self._archive.duplicates)
        for name in self._archive.names:
            path = name.removeprefix(self._top)
            known = path in _REALM_FILES | _WITHOUT_FILES or path.endswith(_RECORDS) or _MESSAGES.fullmatch(path)
            if name in self._used or known:
                continue
            is_file = path.startswith(_FILE_DIRECTORIES)
            yield SkippedEntry(
                reason=SkipReason.UNREFERENCED if is_file else SkipReason.UNKNOWN_ENTRY,
                detail="no list names this file" if is_file else "exports of Zulip have no such entry",
                entry=_shorten(name),
            )

    def _records(self, folder: str) -> list[_Record]:
        return self._decode(f"{folder}{_RECORDS}", list[_Record]) or []

    def _member(self, folder: str, record: _Record) -> str:
        for path in (record.path, record.s3_path):
            for name in (f"{self._top}{path}", f"{self._top}{folder}{path}"):
                if path and name in self._archive:
                    self._used.add(name)
                    return name
        return ""

    def _require(self, path: str, kind: type[T]) -> T:
        decoded: T | None = self._decode(path, kind)
        if decoded is None:
            raise ImportRefusedError(f"{path} in the archive is missing or cannot be decoded")
        return decoded

    def _decode(self, path: str, kind: Any) -> Any:
        """Return the content of a JSON file; None if it is missing, damaged or malformed."""
        try:
            return msgspec.json.decode(self._archive.read(f"{self._top}{path}"), type=kind)
        except (*DECODE_ERRORS, DamagedEntryError):
            return None


def _find_top_folder(archive: TarArchive) -> str:
    """Return the directory of the export within the archive, with its slash."""
    for name in archive.names:
        if name.rpartition("/")[2] == "realm.json":
            return name.removesuffix("realm.json")
    raise ImportRefusedError("the archive has no realm.json; is it an export of Zulip?")


def _shorten(text: str) -> str:
    return text[:_MAX_SHOWN_CHARACTERS]
