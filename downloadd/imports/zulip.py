"""Exports of Zulip: https://zulip.com/help/export-your-organization.

The tar.gz contains one directory with `realm.json` (users, channels, recipients), `messages-000001.json` and others,
`attachment.json` (which message has which file), and the files in `uploads/`. Avatars and custom emoji are in
`avatars/` and `emoji/`, each with a `records.json`.
"""

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import msgspec

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportErrorCode,
    ImportItem,
    MessageCount,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.imports.archive_entries import report_unread
from downloadd.imports.json_array import InvalidArrayError, read_arrays, read_elements
from downloadd.imports.json_structs import StructDecoder
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError
from downloadd.imports.skipping import malformed, shorten
from downloadd.imports.tar_archive import TarArchive
from downloadd.imports.url_list import derive_file_id

UNATTACHED_CHANNEL_ID: Final = "__unattached__"
"""Id of the channel of files that no message contains."""
EMOJI_CHANNEL_ID: Final = "__emoji__"
"""Id of the channel of custom emoji."""

_MAX_MENTIONS: Final = 1_000_000
"""Messages with attachments; each takes up to 200 bytes of memory."""
_MAX_AVATARS: Final = 500_000
"""Users with avatars; each takes up to 200 bytes of memory."""
_MESSAGES: Final = re.compile(r"messages-\d+\.json")
_RECORDS: Final = "records.json"
_UPLOADS: Final = "uploads/"
_AVATARS: Final = "avatars/"
_ORIGINAL: Final = ".original"
"""Suffix of an avatar in the size and format in which the user uploaded it."""
_EMOJI: Final = "emoji/"
_FILE_DIRECTORIES: Final = (_UPLOADS, _AVATARS, _EMOJI, "realm_icons/")
_READ_FILES: Final = frozenset(
    {
        *("realm.json", "attachment.json", *(f"{folder}{_RECORDS}" for folder in _FILE_DIRECTORIES)),
        # These name no file.
        *("migration_status.json", "export_settings.json", "analytics.json"),
    }
)


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


class _RecipientType(IntEnum):
    """Type of a recipient; the others are users and groups of them."""

    STREAM = 2


class _Recipient(msgspec.Struct, gc=False):
    id: int
    type: int
    type_id: int


class _Attachment(msgspec.Struct, gc=False):
    path_id: str
    file_name: str = ""
    size: int | None = None
    owner: int | None = None
    messages: list[int] = []


class _Message(msgspec.Struct, gc=False):
    id: int
    recipient: int | None = None
    date_sent: float | None = None


class _Record(msgspec.Struct, gc=False):
    path: str = ""
    s3_path: str = ""
    user_profile_id: int | None = None
    content_type: str | None = None


class _Place(msgspec.Struct, gc=False):
    """Channel and time of a message that has attachments."""

    channel_id: str
    time: float | None


_REALM_ARRAYS: Final[Mapping[bytes, StructDecoder[Any]]] = MappingProxyType(
    {
        b"zerver_userprofile": StructDecoder(_User),
        # Users whose accounts are elsewhere or were never used, and the bots of the server.
        b"zerver_userprofile_mirrordummy": StructDecoder(_User),
        b"zerver_userprofile_crossrealm": StructDecoder(_User),
        b"zerver_stream": StructDecoder(_Stream),
        b"zerver_recipient": StructDecoder(_Recipient),
    }
)
_ATTACHMENTS: Final = StructDecoder(_Attachment)
_MESSAGE: Final = StructDecoder(_Message)
_RECORD: Final = StructDecoder(_Record)


def read_zulip(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the items of an export; see `importers.Reader`."""
    with TarArchive(file) as archive:
        yield from _Export(archive).items()


class _Export:
    """Export in an open archive."""

    def __init__(self, archive: TarArchive) -> None:
        self._archive = archive
        self._top = _find_top_folder(archive)
        self._streams: dict[int, str] = {}
        self._used: set[str] = set()
        self._has_unattached = False

    def items(self) -> Iterator[ImportItem]:
        avatars: dict[int, str] = {}
        yield from self._find_avatars(avatars)
        try:
            for name, raw in read_arrays(self._archive.pieces(f"{self._top}realm.json")):
                yield from self._entity(name, raw, avatars)
        except (InvalidArrayError, DamagedEntryError) as error:
            raise ImportRefusedError(f"realm.json in the archive cannot be read: {error}") from error
        for user, member in avatars.items():
            yield _unknown_user(member.removeprefix(self._top), f"the user {user}, whom realm.json does not have")
        yield Channel(channel_id=DIRECT_MESSAGES_CHANNEL_ID, name="Direct Messages", is_private=True, is_direct=True)
        places: dict[int, _Place | None] = {}
        # Its problems are reported when it is read again.
        for attachment in self._attachments():
            if isinstance(attachment, _Attachment):
                places.update(dict.fromkeys(attachment.messages))
                if len(places) > _MAX_MENTIONS:
                    raise ImportRefusedError(
                        f"more than {_MAX_MENTIONS} messages have files", ImportErrorCode.FILE_TOO_LARGE
                    )
        yield from self._read_messages(places)
        for attachment in self._attachments():
            if isinstance(attachment, SkippedEntry):
                yield attachment
            else:
                yield from self._attachment(attachment, places)
        yield from self._emoji()
        yield from self._unused()

    def _find_avatars(self, avatars: dict[int, str]) -> Iterator[SkippedEntry]:
        """Add the avatars of the users, and yield the records that have none, or another one than their user."""
        for record in self._records(_AVATARS):
            if isinstance(record, SkippedEntry):
                yield record
                continue
            member, user = self._member(_AVATARS, record), record.user_profile_id
            if not member:
                yield _not_in_archive(_AVATARS, record)
            elif user is None:
                yield _unknown_user(member.removeprefix(self._top), "no user")
            elif (earlier := avatars.get(user)) is None or not member.endswith(_ORIGINAL):
                # The original, in any format, is the same avatar.
                if earlier is not None and earlier != member and not earlier.endswith(_ORIGINAL):
                    yield SkippedEntry(
                        reason=SkipReason.DUPLICATE_ENTRY,
                        detail=f"a later avatar of the user {user} is used",
                        entry=shorten(earlier.removeprefix(self._top)),
                    )
                avatars[user] = member
                if len(avatars) > _MAX_AVATARS:
                    raise ImportRefusedError(
                        f"more than {_MAX_AVATARS} users have avatars", ImportErrorCode.FILE_TOO_LARGE
                    )

    def _entity(self, name: bytes, raw: bytes | None, avatars: dict[int, str]) -> Iterator[ImportItem]:
        """Yield the user or channel in an element of `realm.json`; remember which recipients are channels.

        The avatars of users that were found are removed from `avatars`.
        """
        decoder = _REALM_ARRAYS.get(name)
        if decoder is None:
            return
        entity = None if raw is None else decoder.decode(raw)
        match entity:
            case _User():
                yield WorkspaceUser(
                    user_id=str(entity.id),
                    username=entity.full_name or str(entity.id),
                    email=entity.delivery_email or entity.email,
                    is_deleted=not entity.is_active,
                    is_bot=entity.is_bot,
                    avatar_member=avatars.pop(entity.id, ""),
                )
            case _Stream():
                yield Channel(
                    channel_id=str(entity.id),
                    name=entity.name or str(entity.id),
                    is_archived=entity.deactivated,
                    is_private=entity.invite_only,
                )
            case _Recipient(type=_RecipientType.STREAM):
                self._streams[entity.id] = str(entity.type_id)
            case None:
                yield malformed("realm.json", f"an element of {name.decode(errors='replace')} cannot be decoded")

    def _read_messages(self, places: dict[int, _Place | None]) -> Iterator[ImportItem]:
        """Find the channel and time of the messages that have attachments, and count all."""
        for name in self._archive.names:
            path = name.removeprefix(self._top)
            if not _MESSAGES.fullmatch(path):
                continue
            count = 0
            try:
                for array, raw in read_arrays(self._archive.pieces(name)):
                    if array != b"zerver_message":
                        continue
                    count += 1
                    message = None if raw is None else _MESSAGE.decode(raw)
                    if message is None:
                        yield malformed(path, f"message {count} of the file cannot be decoded")
                    elif message.id in places:
                        # Recipients that are not channels are users and groups of them.
                        channel_id = self._streams.get(message.recipient or 0, DIRECT_MESSAGES_CHANNEL_ID)
                        places[message.id] = _Place(channel_id, message.date_sent)
            except (InvalidArrayError, DamagedEntryError) as error:
                yield SkippedEntry(
                    reason=SkipReason.DAMAGED_ENTRY, detail=f"after {count} messages: {error}", entry=shorten(path)
                )
            yield MessageCount(count=count)

    def _attachments(self) -> Iterator[_Attachment | SkippedEntry]:
        if f"{self._top}attachment.json" not in self._archive:
            yield SkippedEntry(
                reason=SkipReason.NOT_IN_ARCHIVE,
                detail="the archive does not contain attachment.json, the list of uploaded files",
                entry="attachment.json",
            )
            return
        try:
            for name, raw in read_arrays(self._archive.pieces(f"{self._top}attachment.json")):
                if name == b"zerver_attachment":
                    attachment = None if raw is None else _ATTACHMENTS.decode(raw)
                    yield attachment or malformed("attachment.json", "an attachment cannot be decoded")
        except (InvalidArrayError, DamagedEntryError) as error:
            yield SkippedEntry(reason=SkipReason.DAMAGED_ENTRY, detail=str(error), entry="attachment.json")

    def _attachment(self, attachment: _Attachment, places: dict[int, _Place | None]) -> Iterator[ImportItem]:
        member = f"{self._top}{_UPLOADS}{attachment.path_id}"
        unattached = _Place(UNATTACHED_CHANNEL_ID, None)
        for id in attachment.messages or [0]:
            place = places.get(id) or unattached
            if place is unattached and not self._has_unattached:
                self._has_unattached = True
                yield Channel(channel_id=UNATTACHED_CHANNEL_ID, name="Files without a message")
            if member not in self._archive:
                yield SkippedEntry(
                    reason=SkipReason.NOT_IN_ARCHIVE,
                    detail=f"the archive does not contain {shorten(attachment.path_id)!r}",
                    message=str(id or ""),
                    file_id=derive_file_id(attachment.path_id),
                    channel_id=place.channel_id,
                )
                continue
            self._used.add(member)
            yield FileLink(
                file_id=derive_file_id(attachment.path_id),
                member=member,
                name=attachment.file_name or member.rpartition("/")[2],
                channel_id=place.channel_id,
                user="" if attachment.owner is None else str(attachment.owner),
                time=place.time,
            )

    def _emoji(self) -> Iterator[ImportItem]:
        for number, record in enumerate(self._records(_EMOJI)):
            if not number:
                yield Channel(channel_id=EMOJI_CHANNEL_ID, name="Emoji")
            if isinstance(record, SkippedEntry):
                yield msgspec.structs.replace(record, channel_id=EMOJI_CHANNEL_ID)
                continue
            member = self._member(_EMOJI, record)
            if member:
                yield FileLink(
                    # Records of exports from S3 may have no other path.
                    file_id=derive_file_id(record.path or record.s3_path),
                    member=member,
                    name=member.rpartition("/")[2],
                    channel_id=EMOJI_CHANNEL_ID,
                )
            else:
                yield _not_in_archive(_EMOJI, record, EMOJI_CHANNEL_ID)

    def _unused(self) -> Iterator[ImportItem]:
        yield from report_unread(self._archive)
        for name in self._archive.names:
            path = name.removeprefix(self._top)
            if name in self._used or path in _READ_FILES or _MESSAGES.fullmatch(path):
                continue
            is_file = path.startswith(_FILE_DIRECTORIES)
            yield SkippedEntry(
                reason=SkipReason.UNREFERENCED if is_file else SkipReason.UNKNOWN_ENTRY,
                detail="no list names this file" if is_file else "exports of Zulip have no such entry",
                entry=shorten(name),
            )

    def _records(self, folder: str) -> Iterator[_Record | SkippedEntry]:
        """Yield the records of a directory; none if its list is missing."""
        path = f"{folder}{_RECORDS}"
        count = 0
        try:
            for count, raw in enumerate(read_elements(self._archive.pieces(f"{self._top}{path}")), start=1):
                record = None if raw is None else _RECORD.decode(raw)
                yield record or malformed(path, "a record cannot be decoded", line=count)
        except (InvalidArrayError, DamagedEntryError) as error:
            yield SkippedEntry(
                reason=SkipReason.DAMAGED_ENTRY, detail=f"after {count} records: {error}", entry=shorten(path)
            )

    def _member(self, folder: str, record: _Record) -> str:
        for path in (record.path, record.s3_path):
            for name in (f"{self._top}{path}", f"{self._top}{folder}{path}"):
                if path and name in self._archive:
                    self._used.add(name)
                    return name
        return ""


def _not_in_archive(folder: str, record: _Record, channel_id: str = "") -> SkippedEntry:
    return SkippedEntry(
        reason=SkipReason.NOT_IN_ARCHIVE,
        detail=f"the archive does not contain {shorten(record.path or record.s3_path)!r}",
        entry=f"{folder}{_RECORDS}",
        channel_id=channel_id,
    )


def _unknown_user(path: str, owner: str) -> SkippedEntry:
    return SkippedEntry(reason=SkipReason.UNKNOWN_USER, detail=f"the avatar belongs to {owner}", entry=shorten(path))


def _find_top_folder(archive: TarArchive) -> str:
    """Return the directory of the export within the archive, with its slash."""
    found = [name for name in archive.names if name.rpartition("/")[2] == "realm.json"]
    if not found:
        raise ImportRefusedError("the archive has no realm.json; is it an export of Zulip?")
    # An upload, deeper in the archive, may have this name too.
    return min(found, key=lambda name: name.count("/")).removesuffix("realm.json")
