"""Exports of Slack: https://slack.com/help/articles/220556107 and https://api.slack.com/types/file.

The zip contains `users.json` (`org_users.json` in Enterprise Grid), `channels.json`, `groups.json` (private channels),
`mpims.json` (group messages) and `dms.json` (direct messages), and a directory for each conversation, named by its
name or id, with a file for each day: an array of messages. The files of a message are in its `files`, in older exports
in its `file`, those of a forwarded message in the `files` of its `attachments`. Links that end in `?t=xoxe-…` contain a
token; others need that of the workspace. Some programs put the files into the archive: `slack_members.py`.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
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
from downloadd.imports.archive import Archive
from downloadd.imports.archive_entries import report_unread
from downloadd.imports.json_array import InvalidArrayError
from downloadd.imports.json_structs import StructDecoder
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError
from downloadd.imports.skipping import malformed, shorten
from downloadd.imports.slack_members import SlackMembers
from downloadd.policy.url import has_http_scheme

CANVASES_CHANNEL_ID: Final = "__canvases__"
"""Id of the channel of canvases and lists, which `canvases.json` and `lists.json` name without a channel."""

_USER_LISTS: Final = ("users.json", "org_users.json")
_CHANNEL_LISTS: Final = (
    ("channels.json", False),
    ("groups.json", True),
    ("mpims.json", True),
    # The comments on canvases, in directories whose names begin with "FC:".
    ("file_conversations.json", True),
)
_DIRECT_LIST: Final = "dms.json"
_FILE_LISTS: Final = ("canvases.json", "lists.json")
_WITHOUT_FILES: Final = "integration_logs.json"
"""List of installed apps, which names no files."""
_KNOWN_NAMES: Final = frozenset(
    {*_USER_LISTS, *(name for name, _ in _CHANNEL_LISTS), _DIRECT_LIST, *_FILE_LISTS, _WITHOUT_FILES}
)

_UNAVAILABLE_MODES: Final = {
    "tombstone": (SkipReason.DELETED, "was deleted"),
    "hidden_by_limit": (SkipReason.HIDDEN_BY_LIMIT, "is hidden by the limit of the workspace's plan"),
    "file_access": (SkipReason.NOT_VISIBLE, "is not visible to the workspace that made the export"),
}
"""Modes of files without content."""
_PAGE_MODES: Final = frozenset({"quip", "canvas", "list", "space", "docs", "post"})
"""Modes of canvases and posts. Slack sends a page, although it gives another media type."""
_PAGE_SUFFIXES: Final = (".html", ".htm")

_MAX_FILE_BYTES: Final = (1 << 63) - 1
"""Bytes of a file that the records can store."""
_MAX_ID_CHARACTERS: Final = 255
_MAX_CHANNEL_CHARACTERS: Final = 1_000
"""Characters of a channel's name; Slack allows 80."""
_MAX_CONVERSATIONS: Final = 200_000
_MAX_MENTIONS: Final = 1_000_000
"""Files that messages name; a file counts for each message."""


# Hundreds of thousands of these exist at once, and none is part of a reference cycle: `gc=False` spares the garbage
# collector, which pauses all threads, from visiting them.
class _Profile(msgspec.Struct, gc=False):
    email: str | None = None
    image_original: str | None = None
    image_512: str | None = None


class _User(msgspec.Struct, gc=False):
    id: str
    name: str | None = None
    deleted: bool | None = None
    is_bot: bool | None = None
    profile: _Profile | None = None


class _Channel(msgspec.Struct, gc=False):
    id: str
    name: str | None = None
    is_archived: bool | None = None


class _File(msgspec.Struct, gc=False):
    id: str = ""
    name: str | None = None
    title: str | None = None
    mode: str | None = None
    is_external: bool | None = None
    mimetype: str | None = None
    size: Any = None
    url_private: str | None = None
    url_private_download: str | None = None
    user: str | None = None


class _Attachment(msgspec.Struct, gc=False):
    files: list[msgspec.Raw] | None = None


class _Message(msgspec.Struct, gc=False):
    user: str | None = None
    ts: str | float | None = None
    """Unix time; Slack writes text, and programs that rewrite exports write numbers or null."""
    files: list[msgspec.Raw] | None = None
    file: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    attachments: list[msgspec.Raw] | None = None


_USERS: Final = StructDecoder(_User)
_CHANNELS: Final = StructDecoder(_Channel)
_MESSAGES: Final = StructDecoder(_Message)
_FILES: Final = StructDecoder(_File)
_ATTACHMENTS: Final = StructDecoder(_Attachment)


def read_slack(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the items of an export, each file once for each message that names it; see `importers.Reader`."""
    with Archive(file) as archive:
        yield from _Export(archive).items()


class _Export:
    """Export in an open archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._members = SlackMembers(archive.names)
        # A file of a message may have the name of a list.
        self._tops = _find_tops([name for name in archive.names if name not in self._members])
        self._folders: dict[str, str] = {}
        self._mentions = 0

    def items(self) -> Iterator[ImportItem]:
        yield from report_unread(self._archive)
        for top in self._tops:
            for name in _USER_LISTS:
                yield from self._users(f"{top}{name}")
        for top in self._tops:
            for name, private in _CHANNEL_LISTS:
                yield from self._channels(top, name, private=private)
        yield from self._conversations()
        for name in self._archive.names:
            yield from self._entry(name)
        yield from self._canvases()
        yield from self._members.unreferenced()

    def _users(self, name: str) -> Iterator[ImportItem]:
        for number, user in self._read_list(name, _USERS):
            if user is None:
                yield malformed(name, "an element is not a user", line=number)
                continue
            profile = user.profile or _Profile()
            yield WorkspaceUser(
                user_id=user.id,
                username=user.name or user.id,
                email=profile.email or "",
                is_deleted=bool(user.deleted),
                is_bot=bool(user.is_bot),
                avatar_url=profile.image_original or profile.image_512,
                avatar_member=self._members.find_avatar(user.id),
            )

    def _channels(self, top: str, name: str, *, private: bool) -> Iterator[ImportItem]:
        for number, channel in self._read_list(f"{top}{name}", _CHANNELS):
            if channel is None or not _has_valid_lengths(channel):
                yield malformed(f"{top}{name}", "an element is not a channel", line=number)
                continue
            self._add_folder(f"{top}{channel.id}", channel.id)
            if channel.name:
                self._add_folder(f"{top}{unicodedata.normalize('NFC', channel.name)}", channel.id)
            yield Channel(
                channel_id=channel.id,
                name=channel.name or channel.id,
                is_archived=bool(channel.is_archived),
                is_private=private,
            )

    def _conversations(self) -> Iterator[ImportItem]:
        for top in self._tops:
            for number, conversation in self._read_list(f"{top}{_DIRECT_LIST}", _CHANNELS):
                if number == 1:
                    yield Channel(
                        channel_id=DIRECT_MESSAGES_CHANNEL_ID, name="Direct Messages", is_private=True, is_direct=True
                    )
                if conversation is None or not _has_valid_lengths(conversation):
                    yield malformed(f"{top}{_DIRECT_LIST}", "an element is not a conversation", line=number)
                    continue
                self._add_folder(f"{top}{conversation.id}", DIRECT_MESSAGES_CHANNEL_ID)

    def _add_folder(self, folder: str, channel_id: str) -> None:
        self._folders[folder] = channel_id
        if len(self._folders) > 2 * _MAX_CONVERSATIONS:
            raise _too_large_error(f"the export has more than {_MAX_CONVERSATIONS} channels and conversations")

    def _entry(self, name: str) -> Iterator[ImportItem]:
        folder, slash, base = name.rpartition("/")
        if (base in _KNOWN_NAMES and f"{folder}{slash}" in self._tops) or name in self._members:
            return
        channel_id = self._folders.get(folder)
        top, top_slash, conversation = folder.rpartition("/")
        if channel_id is not None and base.endswith(".json"):
            yield from self._day(name, channel_id)
        elif base.endswith(".json") and conversation and f"{top}{top_slash}" in self._tops:
            yield SkippedEntry(
                reason=SkipReason.UNKNOWN_CHANNEL,
                detail=f"the directory {shorten(conversation)!r} belongs to no channel",
                entry=shorten(name),
            )
        else:
            yield SkippedEntry(
                reason=SkipReason.UNKNOWN_ENTRY, detail="exports of Slack have no such entry", entry=shorten(name)
            )

    def _day(self, name: str, channel_id: str) -> Iterator[ImportItem]:
        count = 0
        try:
            for number, message in enumerate(_MESSAGES.read_array(self._archive, name), start=1):
                if message is None:
                    yield malformed(name, "a message cannot be decoded", line=number, channel_id=channel_id)
                    continue
                count += 1
                for raw in _files_of(message):
                    if raw is None:
                        yield malformed(
                            name, "an attachment of the message cannot be decoded", line=number, channel_id=channel_id
                        )
                    else:
                        yield from self._file(raw, message, channel_id, name, number)
        except (InvalidArrayError, DamagedEntryError) as error:
            yield SkippedEntry(
                reason=SkipReason.DAMAGED_ENTRY,
                detail=f"after {count} messages: {error}",
                entry=shorten(name),
                channel_id=channel_id,
            )
        yield MessageCount(count=count)

    def _canvases(self) -> Iterator[ImportItem]:
        without_message, is_first = _Message(), True
        for name in [f"{top}{name}" for top in self._tops for name in _FILE_LISTS]:
            for number, file in self._read_list(name, _FILES):
                if is_first:
                    yield Channel(channel_id=CANVASES_CHANNEL_ID, name="Canvases")
                    is_first = False
                if file is None:
                    yield malformed(name, "an element is not a file", line=number, channel_id=CANVASES_CHANNEL_ID)
                else:
                    yield self._link(file, without_message, CANVASES_CHANNEL_ID, name)

    def _file(
        self, raw: msgspec.Raw, message: _Message, channel_id: str, entry: str, number: int
    ) -> Iterator[ImportItem]:
        if bytes(raw) == b"null":
            return
        file = _FILES.decode(raw)
        if file is None:
            yield malformed(entry, "a file of the message cannot be decoded", line=number, channel_id=channel_id)
            return
        self._mentions += 1
        if self._mentions > _MAX_MENTIONS:
            raise _too_large_error(f"the export names more than {_MAX_MENTIONS} files")
        yield self._link(file, message, channel_id, entry)

    def _link(self, file: _File, message: _Message, channel_id: str, entry: str) -> FileLink | SkippedEntry:
        member = self._members.take(file.id)
        is_page = file.mode in _PAGE_MODES
        url = file.url_private_download or (file.url_private if is_page else None) or ""
        problem = _find_problem(file, url, member)
        if problem is not None:
            return SkippedEntry(
                reason=problem[0],
                detail=f"the file {shorten(file.id)!r} {problem[1]}",
                entry=shorten(entry),
                message=shorten(str(message.ts or "")),
                file_id=file.id if len(file.id) <= _MAX_ID_CHARACTERS else "",
                channel_id=channel_id,
            )
        name = file.name or file.title or ""
        return FileLink(
            file_id=file.id,
            url="" if member else url,
            member=member,
            name=f"{name}.html" if is_page and name and not name.lower().endswith(_PAGE_SUFFIXES) else name,
            channel_id=channel_id,
            user=file.user or message.user or "",
            time=_parse_timestamp(message.ts),
            size=_parse_size(file.size),
            content_type=None if is_page else file.mimetype,
        )

    def _read_list(self, name: str, decoder: StructDecoder[Any]) -> Iterator[tuple[int, Any]]:
        """Yield the elements of a list with their numbers, from 1."""
        if name not in self._archive:
            return
        try:
            yield from enumerate(decoder.read_array(self._archive, name), start=1)
        except InvalidArrayError as error:
            raise ImportRefusedError(f"{name} in the archive is not a list, or is truncated: {error}") from error


def _files_of(message: _Message) -> Iterable[msgspec.Raw | None]:
    """Yield the files of a message and its attachments; None for an attachment that is malformed."""
    yield from message.files or ()
    if bytes(message.file):
        yield message.file
    for raw in message.attachments or ():
        if b'"files"' in bytes(raw):
            attachment = _ATTACHMENTS.decode(raw)
            yield from (None,) if attachment is None else attachment.files or ()


def _find_problem(file: _File, url: str, member: str) -> tuple[SkipReason, str] | None:
    """Return the reason why a file cannot be had, and the end of a sentence about it; None if it can."""
    if not file.id:
        return SkipReason.NO_LINK, "has no id"
    if member:
        return None
    if file.mode in _UNAVAILABLE_MODES:
        return _UNAVAILABLE_MODES[file.mode]
    if has_http_scheme(url):
        return None
    if file.is_external or file.mode == "external":
        return SkipReason.EXTERNAL, "is stored at another service"
    return (SkipReason.NOT_IN_ARCHIVE, "is not in the archive") if url else (SkipReason.NO_LINK, "has no download URL")


def _find_tops(entries: Sequence[str]) -> tuple[str, ...]:
    """Return the directories of workspaces among the entries of an archive, with their slashes; "" for its top level.

    An export of Enterprise Grid has the lists of each workspace in a directory of its own.
    """
    names = {*_USER_LISTS, _DIRECT_LIST, *(name for name, _ in _CHANNEL_LISTS)}
    parts = (entry.rpartition("/") for entry in entries)
    lists = [(f"{folder}{slash}", base) for folder, slash, base in parts if base in names]
    required = {*_USER_LISTS, "channels.json"}
    if not any(base in required for _, base in lists):
        raise ImportRefusedError("the archive has neither users.json nor channels.json; is it an export of Slack?")
    return tuple(sorted({top for top, _ in lists}, key=lambda top: (top.count("/"), top)))


def _has_valid_lengths(channel: _Channel) -> bool:
    return 0 < len(channel.id) <= _MAX_ID_CHARACTERS and len(channel.name or "") <= _MAX_CHANNEL_CHARACTERS


def _parse_size(value: Any) -> int | None:
    """Return a length in bytes; None if the value is not one, in which case the file is fetched all the same."""
    return value if type(value) is int and 0 <= value <= _MAX_FILE_BYTES else None


def _parse_timestamp(ts: str | float | None) -> float | None:
    """Return a Unix time; None if the value is not one, in which case the files are fetched all the same."""
    try:
        time = float(ts or "")
    except ValueError:
        return None
    return time if isfinite(time) else None


def _too_large_error(message: str) -> ImportRefusedError:
    return ImportRefusedError(message, ImportErrorCode.FILE_TOO_LARGE)
