"""Bulk exports of Mattermost: https://docs.mattermost.com/administration-guide/onboard/bulk-loading-data.html.

The zip contains one or more `*.jsonl` with one object a line (`team`, `channel`, `user`, `bot`, `post`, `direct_post`,
`emoji` and others), and the attachments in `data/`. The paths of attachments are relative to `data/`. A bare JSONL file
names attachments that are elsewhere.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

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
from downloadd.imports.json_lines import read_json_lines
from downloadd.imports.json_structs import StructDecoder
from downloadd.imports.refusal import DamagedEntryError, ImportRefusedError
from downloadd.imports.skipping import shorten
from downloadd.imports.url_list import derive_file_id

EMOJI_CHANNEL_ID: Final = "__emoji__"
"""Id of the channel of custom emoji."""

_ZIP_SIGNATURE: Final = b"PK"
_DATA: Final = "data/"
_CHUNK_BYTES: Final = 256 * 1024
_MAX_FILES: Final = 1_000_000


class _Attachment(msgspec.Struct, gc=False):
    path: str


# A list of raw elements: one that is malformed does not hide the others.
class _Reply(msgspec.Struct, gc=False):
    user: str | None = None
    create_at: int | None = None
    attachments: list[msgspec.Raw] | None = None


class _Post(_Reply, gc=False):
    team: str = ""
    channel: str = ""
    replies: list[msgspec.Raw] | None = None


class _Channel(msgspec.Struct, gc=False):
    name: str
    team: str = ""
    display_name: str | None = None
    type: str | None = None
    deleted_at: int | None = None


class _User(msgspec.Struct, gc=False):
    username: str
    email: str | None = None
    delete_at: int | None = None
    profile_image: str | None = None


class _Emoji(msgspec.Struct, gc=False):
    name: str
    image: str


class _Line(msgspec.Struct, gc=False):
    type: str
    channel: _Channel | None = None
    user: _User | None = None
    bot: _User | None = None
    post: _Post | None = None
    direct_post: _Post | None = None
    emoji: _Emoji | None = None


_TYPES: Final = frozenset({"channel", "user", "bot", "post", "direct_post", "emoji"})
"""Types of lines that are imported."""
_WITHOUT_FILES: Final = frozenset({"version", "role", "scheme", "team", "direct_channel"})
"""Types of lines that name no file."""
_LINES: Final = StructDecoder(_Line)
_REPLIES: Final = StructDecoder(_Reply)
_ATTACHMENTS: Final = StructDecoder(_Attachment)


def read_mattermost(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the items of a bulk export; see `importers.Reader`."""
    start = file.read(len(_ZIP_SIGNATURE))
    file.seek(0)
    if start != _ZIP_SIGNATURE:
        yield from _Export(None, "").lines("", iter(lambda: file.read(_CHUNK_BYTES), b""))
        return
    with Archive(file) as archive:
        top = _find_top_folder(archive)
        # An attachment may have this suffix, too.
        lists = [name for name in _find_lists(archive, top) if not name.startswith(f"{top}{_DATA}")]
        export = _Export(archive, top)
        yield from report_unread(archive)
        for name in lists:
            yield from export.lines(name, archive.pieces(name))
        yield from export.unreferenced(lists)


class _Export:
    """Export in an open archive, or a JSONL file alone."""

    def __init__(self, archive: Archive | None, top: str) -> None:
        self._archive = archive
        self._top = top
        self._used: set[str] = set()
        self._known: set[str] = set()
        self._files = 0

    def lines(self, entry: str, pieces: Iterable[bytes]) -> Iterator[ImportItem]:
        """Yield the items of a JSONL file.

        Raises:
            ImportRefusedError: its first line is not that of a bulk export.
        """
        number, is_first = 0, True
        try:
            for number, raw in read_json_lines(pieces):
                line = None if raw is None else _LINES.decode(raw)
                if is_first and (line is None or line.type != "version"):
                    raise ImportRefusedError("the first line is not a version; is it a bulk export of Mattermost?")
                is_first = False
                if line is None:
                    yield _skip(SkipReason.MALFORMED, "the line cannot be decoded, or is too long", entry, number)
                else:
                    yield from self._line(line, entry, number)
            if is_first:
                raise ImportRefusedError("the list is empty; is it a bulk export of Mattermost?")
        except DamagedEntryError as error:
            yield _skip(SkipReason.DAMAGED_ENTRY, f"after {number} lines: {error}", entry, number)

    def unreferenced(self, lists: list[str]) -> Iterator[ImportItem]:
        """Yield the files of the archive that no line names."""
        for name in self._archive.names if self._archive is not None else ():
            if name not in self._used and name not in lists:
                is_file = name.startswith(f"{self._top}{_DATA}")
                yield _skip(
                    SkipReason.UNREFERENCED if is_file else SkipReason.UNKNOWN_ENTRY,
                    "no line names this file" if is_file else "exports of Mattermost have no such entry",
                    name,
                    None,
                )

    def _line(self, line: _Line, entry: str, number: int) -> Iterator[ImportItem]:
        match line:
            case _Line(type="channel", channel=_Channel() as channel):
                yield from self._channel(channel)
            case _Line(type="user", user=_User() as user):
                yield from self._user(user, entry, number, is_bot=False)
            case _Line(type="bot", bot=_User() as bot):
                yield from self._user(bot, entry, number, is_bot=True)
            case _Line(type="emoji", emoji=_Emoji() as emoji):
                yield from self._announce(Channel(channel_id=EMOJI_CHANNEL_ID, name="Emoji"))
                yield self._link(emoji.image, EMOJI_CHANNEL_ID, _Reply(), entry, number)
            case _Line(type="post", post=_Post() as post):
                yield from self._post(post, entry, number)
            case _Line(type="direct_post", direct_post=_Post() as post):
                yield from self._announce(
                    Channel(
                        channel_id=DIRECT_MESSAGES_CHANNEL_ID, name="Direct Messages", is_private=True, is_direct=True
                    )
                )
                yield from self._messages(post, DIRECT_MESSAGES_CHANNEL_ID, entry, number)
            case _Line(type=kind) if kind in _TYPES:
                yield _skip(SkipReason.MALFORMED, f"a line of the type {kind} without its content", entry, number)
            case _Line(type=kind) if kind not in _WITHOUT_FILES:
                detail = f"exports of Mattermost have no lines of the type {shorten(kind)!r}"
                yield _skip(SkipReason.UNKNOWN_LINE, detail, entry, number)

    def _channel(self, channel: _Channel) -> Iterator[ImportItem]:
        yield from self._announce(
            Channel(
                channel_id=f"{channel.team}/{channel.name}",
                name=channel.display_name or channel.name,
                is_archived=bool(channel.deleted_at),
                is_private=channel.type == "P",
            )
        )

    def _user(self, user: _User, entry: str, number: int, *, is_bot: bool) -> Iterator[ImportItem]:
        member = self._find_member(user.profile_image or "")
        yield WorkspaceUser(
            user_id=user.username,
            username=user.username,
            email=user.email or "",
            is_deleted=bool(user.delete_at),
            is_bot=is_bot,
            avatar_member=member,
        )
        if user.profile_image and not member:
            yield _not_in_archive(user.profile_image, entry, number)

    def _post(self, post: _Post, entry: str, number: int) -> Iterator[ImportItem]:
        channel_id = f"{post.team}/{post.channel}"
        # Posts of a channel that no line describes are imported all the same.
        yield from self._announce(Channel(channel_id=channel_id, name=post.channel or "Posts"))
        yield from self._messages(post, channel_id, entry, number)

    def _messages(self, post: _Post, channel_id: str, entry: str, number: int) -> Iterator[ImportItem]:
        yield from self._attachments(post, channel_id, entry, number)
        for raw in post.replies or ():
            reply = _REPLIES.decode(raw)
            if reply is None:
                detail = "a reply to the post cannot be decoded"
                yield _skip(SkipReason.MALFORMED, detail, entry, number, channel_id)
            else:
                yield from self._attachments(reply, channel_id, entry, number)
        yield MessageCount(count=1 + len(post.replies or ()))

    def _attachments(self, message: _Reply, channel_id: str, entry: str, number: int) -> Iterator[ImportItem]:
        for raw in message.attachments or ():
            attachment = _ATTACHMENTS.decode(raw)
            if attachment is None:
                detail = "an attachment of the post cannot be decoded"
                yield _skip(SkipReason.MALFORMED, detail, entry, number, channel_id)
            else:
                yield self._link(attachment.path, channel_id, message, entry, number)

    def _announce(self, channel: Channel) -> Iterator[ImportItem]:
        if channel.channel_id not in self._known:
            self._known.add(channel.channel_id)
            yield channel

    def _link(self, path: str, channel_id: str, message: _Reply, entry: str, number: int) -> FileLink | SkippedEntry:
        self._files += 1
        if self._files > _MAX_FILES:
            raise ImportRefusedError(f"the export names more than {_MAX_FILES} files", ImportErrorCode.FILE_TOO_LARGE)
        id, member = derive_file_id(path), self._find_member(path)
        if not member:
            return msgspec.structs.replace(_not_in_archive(path, entry, number), file_id=id, channel_id=channel_id)
        return FileLink(
            file_id=id,
            member=member,
            name=member.rpartition("/")[2],
            channel_id=channel_id,
            user=message.user or "",
            time=None if message.create_at is None else message.create_at / 1000,
        )

    def _find_member(self, path: str) -> str:
        if self._archive is None or not path:
            return ""
        plain = path.replace("\\", "/").removeprefix("./")
        for name in (f"{self._top}{_DATA}{plain}", f"{self._top}{plain}"):
            if name in self._archive:
                self._used.add(name)
                return name
        return ""


def _find_top_folder(archive: Archive) -> str:
    """Return the directory of the export within the archive, with its slash; "" for the top level."""
    lists = [name for name in _find_lists(archive, "") if not name.startswith(_DATA)]
    if not lists:
        raise ImportRefusedError("the archive has no .jsonl file; is it a bulk export of Mattermost?")
    return "".join(min(lists, key=lambda name: name.count("/")).rpartition("/")[:2])


def _find_lists(archive: Archive, top: str) -> list[str]:
    return [name for name in archive.names if name.startswith(top) and name.endswith(".jsonl")]


def _not_in_archive(path: str, entry: str, number: int) -> SkippedEntry:
    return _skip(SkipReason.NOT_IN_ARCHIVE, f"the archive does not contain {shorten(path)!r}", entry, number)


def _skip(reason: SkipReason, detail: str, entry: str, number: int | None, channel_id: str = "") -> SkippedEntry:
    return SkippedEntry(reason=reason, detail=detail, entry=shorten(entry), line=number, channel_id=channel_id)
