"""Exports of Slack: https://slack.com/help/articles/220556107 and https://api.slack.com/types/file.

The zip contains `users.json`, `channels.json`, `groups.json` (private channels), `mpims.json` (group messages) and
`dms.json` (direct messages), and a directory for each conversation with a file for each day: an array of messages.
The files of a message are in its `files`, in older exports in its `file`. Links that end in `?t=xoxe-…` contain a
token; others need that of the workspace.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, Generic, TypeVar

import msgspec

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportErrorCode,
    ImportItem,
    MessageCount,
    SkippedEntry,
    WorkspaceUser,
)
from downloadd.imports.archive import Archive
from downloadd.imports.json_array import InvalidArrayError, read_elements
from downloadd.imports.refusal import ImportRefusedError

T = TypeVar("T")

_LIST_FILES: Final = ("users.json", "channels.json", "groups.json", "mpims.json", "dms.json")
_UNAVAILABLE_MODES: Final = frozenset({"tombstone", "hidden_by_limit", "file_access"})
"""Modes of files without content."""


_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Exceptions of the JSON parser."""
_ESCAPE_SEQUENCE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone_surrogate>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_MAX_FILE_BYTES: Final = (1 << 63) - 1
"""Bytes of a file that the records can store."""
_MAX_ID_CHARACTERS: Final = 255
_MAX_SHOWN_CHARACTERS: Final = 80
_MAX_CHANNEL_CHARACTERS: Final = 1_000
"""Characters of a channel's name; Slack allows 80."""
_MAX_CONVERSATIONS: Final = 200_000
_MAX_FILES: Final = 1_000_000

_MAX_DECODED_BYTES: Final = 24 << 20
_MAX_DECODED_OBJECTS: Final = 250_000
_MAX_DECODED_QUOTES: Final = 6_000_000
"""Limits of an array that is decoded at once; real days and lists are below them.

An object takes up to 130 bytes of memory, a text 50 bytes and its length.
"""


# Hundreds of thousands of these exist at once, and none is part of a reference cycle: `gc=False` spares the garbage
# collector, which pauses all threads, from visiting them.
class _Profile(msgspec.Struct, gc=False):
    email: str | None = None
    image_original: str | None = None
    image_512: str | None = None


class _User(msgspec.Struct, gc=False):
    id: str
    name: str = ""
    deleted: bool = False
    is_bot: bool = False
    profile: _Profile = msgspec.field(default_factory=_Profile)


class _Channel(msgspec.Struct, gc=False):
    id: str
    name: str = ""
    is_archived: bool = False


class _File(msgspec.Struct, gc=False):
    id: str = ""
    name: str | None = None
    title: str | None = None
    mode: str | None = None
    is_external: bool = False
    mimetype: str | None = None
    size: Any = None
    url_private_download: str | None = None
    user: str | None = None


class _Message(msgspec.Struct, gc=False):
    user: str | None = None
    ts: str = ""
    files: list[_File | None] | None = None
    file: _File | None = None


class _ArrayReader(Generic[T]):
    """Reader of arrays of one kind of entry."""

    def __init__(self, one: type[T], many: type[list[T]]) -> None:
        self._element_decoder = msgspec.json.Decoder(one)
        self._array_decoder = msgspec.json.Decoder(many)

    def read(self, data: bytes) -> Iterator[T | None]:
        """Return the entries of an array; None for each that cannot be decoded.

        Raises:
            InvalidArrayError: while iterating, after the entries before the error.
        """
        entries = self._decode_whole(data)
        if entries is not None:
            return iter(entries)
        return (None if raw is None else self._decode_element(raw) for raw in read_elements(data))

    def read_list(self, data: bytes) -> Iterator[T | None]:
        """Return the entries of an array after checking its whole syntax.

        Raises:
            InvalidArrayError: the data is not an array.
        """
        entries = self._decode_whole(data)
        if entries is not None:
            return iter(entries)
        for _ in read_elements(data):
            pass
        return self.read(data)

    def _decode_whole(self, data: bytes) -> list[T] | None:
        """Return all entries; None if one is malformed, or the array exceeds a limit."""
        if (
            len(data) > _MAX_DECODED_BYTES
            or data.count(b"{") > _MAX_DECODED_OBJECTS
            or data.count(b'"') > _MAX_DECODED_QUOTES
        ):
            return None
        try:
            return self._array_decoder.decode(data)
        except _DECODE_ERRORS:
            return None

    def _decode_element(self, raw: bytes) -> T | None:
        try:
            return self._element_decoder.decode(raw)
        except _DECODE_ERRORS:
            pass
        try:
            return self._element_decoder.decode(_normalize_json(raw))
        except _DECODE_ERRORS:
            return None


_USERS: Final = _ArrayReader(_User, list[_User])
_CHANNELS: Final = _ArrayReader(_Channel, list[_Channel])
_MESSAGES: Final = _ArrayReader(_Message, list[_Message])


def read_slack(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the items of an export, each file once; see `importers.Reader`."""
    with Archive(file) as archive:
        top = _find_top_folder(archive)
        for user in _read_list(archive, f"{top}users.json", _USERS):
            yield SkippedEntry(reason="users.json: an entry that is not a user") if user is None else _build_user(user)
        folders: dict[str, str] = {}
        for name, private in (("channels.json", False), ("groups.json", True), ("mpims.json", True)):
            for channel in _read_list(archive, f"{top}{name}", _CHANNELS):
                if channel is None or not channel.name or not _has_valid_lengths(channel):
                    yield SkippedEntry(reason=f"{name}: an entry that is not a channel")
                    continue
                folders[unicodedata.normalize("NFC", channel.name)] = channel.id
                yield Channel(
                    channel_id=channel.id,
                    name=channel.name,
                    is_archived=channel.is_archived,
                    is_private=private,
                )
        conversations = _read_list(archive, f"{top}dms.json", _CHANNELS)
        for number, conversation in enumerate(conversations):
            if not number:
                yield Channel(
                    channel_id=DIRECT_MESSAGES_CHANNEL_ID, name="Direct Messages", is_private=True, is_direct=True
                )
            if conversation is None or not _has_valid_lengths(conversation):
                yield SkippedEntry(reason="dms.json: an entry that is not a conversation")
                continue
            folders[conversation.id] = DIRECT_MESSAGES_CHANNEL_ID
            if len(folders) > _MAX_CONVERSATIONS:
                raise _too_large_error(f"the export has more than {_MAX_CONVERSATIONS} channels and conversations")
        yield from _read_days(archive, top, folders)


def _read_days(archive: Archive, top: str, folders: dict[str, str]) -> Iterator[ImportItem]:
    # The hash of an id takes less memory than the id; in practice, no two ids have the same hash.
    seen: set[int] = set()
    unknown: set[str] = set()
    for name in archive.names:
        folder, slash, day = name.removeprefix(top).partition("/")
        if not name.startswith(top) or not slash or "/" in day or not day.endswith(".json"):
            continue
        channel_id = folders.get(folder)
        if channel_id is None:
            if folder not in unknown:
                unknown.add(folder)
                yield SkippedEntry(reason=f"the folder {folder[:80]!r} belongs to no channel")
            continue
        count = 0
        try:
            for message in _MESSAGES.read(archive.read(name)):
                if message is None:
                    yield SkippedEntry(reason=f"{name[:120]!r}: a message that cannot be decoded")
                    continue
                count += 1
                for file in (*(message.files or ()), message.file):
                    if file is None or (file.id and hash(file.id) in seen):
                        continue
                    seen.add(hash(file.id))
                    yield _build_file_link(file, message, channel_id)
                if len(seen) > _MAX_FILES:
                    raise _too_large_error(f"the export names more than {_MAX_FILES} files")
        except InvalidArrayError as error:
            yield SkippedEntry(reason=f"{name[:120]!r} is not a list of messages, or is truncated: {error}")
        yield MessageCount(count=count)


def _build_file_link(file: _File, message: _Message, channel_id: str) -> FileLink | SkippedEntry:
    label = f"file {file.id[:_MAX_SHOWN_CHARACTERS]!r}"
    if file.mode in _UNAVAILABLE_MODES:
        return SkippedEntry(reason=f"{label} was deleted, or is hidden by the workspace's limit")
    if not file.url_private_download:
        reason = "is not on Slack's servers" if file.is_external or file.mode == "external" else "has no download URL"
        return SkippedEntry(reason=f"{label} {reason}")
    if not file.id:
        return SkippedEntry(reason="a file without an id")
    return FileLink(
        file_id=file.id,
        url=file.url_private_download,
        name=file.name or file.title or "",
        channel_id=channel_id,
        user=file.user or message.user or "",
        time=_parse_timestamp(message.ts),
        size=_parse_size(file.size),
        content_type=file.mimetype,
    )


def _build_user(user: _User) -> WorkspaceUser:
    return WorkspaceUser(
        user_id=user.id,
        username=user.name or user.id,
        email=user.profile.email or "",
        is_deleted=user.deleted,
        is_bot=user.is_bot,
        avatar_url=user.profile.image_original or user.profile.image_512,
    )


def _find_top_folder(archive: Archive) -> str:
    """Return the directory of the export within the archive; "" for its top level."""
    tops = {name.rpartition("/")[0] for name in archive.names if name.rpartition("/")[2] in _LIST_FILES[:2]}
    if not tops:
        raise ImportRefusedError("the archive has neither users.json nor channels.json; is it an export of Slack?")
    top = min(tops, key=lambda folder: (folder.count("/") if folder else -1, folder))
    return f"{top}/" if top else ""


def _read_list(archive: Archive, name: str, entries: _ArrayReader[T]) -> Iterator[T | None]:
    data = archive.read(name)
    if not data or data.isspace():
        return
    try:
        yield from entries.read_list(data)
    except InvalidArrayError as error:
        raise ImportRefusedError(f"{name} in the archive is not a list, or is truncated: {error}") from error


def _has_valid_lengths(channel: _Channel) -> bool:
    return len(channel.id) <= _MAX_ID_CHARACTERS and len(channel.name) <= _MAX_CHANNEL_CHARACTERS


def _normalize_json(data: bytes) -> bytes:
    """Return the JSON with U+FFFD in place of each unpaired surrogate and of bytes that are not UTF-8.

    A program that truncates a text within an emoji writes an unpaired surrogate.
    """
    text = data.decode(errors="replace")
    pieces: list[str] = []
    at = 0
    for match in _ESCAPE_SEQUENCE.finditer(text):
        if match["lone_surrogate"]:
            pieces += (text[at : match.start()], "\\ufffd")
            at = match.end()
    return "".join((*pieces, text[at:])).encode()


def _parse_size(value: Any) -> int | None:
    """Return a length in bytes; None if the value is not one, in which case the file is fetched all the same."""
    return value if type(value) is int and 0 <= value <= _MAX_FILE_BYTES else None


def _parse_timestamp(ts: Any) -> float | None:
    try:
        return float(ts)
    except ValueError:
        return None


def _too_large_error(message: str) -> ImportRefusedError:
    return ImportRefusedError(message, ImportErrorCode.FILE_TOO_LARGE)
