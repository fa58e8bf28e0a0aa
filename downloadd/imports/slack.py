"""Exports of Slack: https://slack.com/help/articles/220556107 and https://api.slack.com/types/file.

The zip holds `users.json`, `channels.json`, `groups.json` (private channels), `mpims.json` (groups of persons) and
`dms.json` (direct messages), and a folder for each of them with a file for each day, which is an array of messages.
Files are named in the messages' `files`, in older exports in `file`. Links that end in `?t=xoxe-…` carry a token of
their own; others need the workspace's.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from downloadd.imports.archive import Archive
from downloadd.imports.refusal import ImportRefusedError
from downloadd.operation import DIRECT_MESSAGES, Channel, FileLink, Item, Messages, Person, Skipped

T = TypeVar("T")

_LISTS: Final = ("users.json", "channels.json", "groups.json", "mpims.json", "dms.json")
_GONE: Final = frozenset({"tombstone", "hidden_by_limit", "file_access"})
"""Modes of files of which nothing is left to fetch."""


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the JSON parser says of what is none, or none that can be read."""
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_LONGEST: Final = (1 << 63) - 1
"""Bytes of a file: what the records can hold."""


class _Profile(msgspec.Struct):
    email: str | None = None
    image_original: str | None = None
    image_512: str | None = None


class _User(msgspec.Struct):
    id: str
    name: str = ""
    deleted: bool = False
    is_bot: bool = False
    profile: _Profile = msgspec.field(default_factory=_Profile)


class _Channel(msgspec.Struct):
    id: str
    name: str = ""
    is_archived: bool = False


class _File(msgspec.Struct):
    id: str = ""
    name: str | None = None
    title: str | None = None
    mode: str | None = None
    is_external: bool = False
    mimetype: str | None = None
    size: Any = None
    url_private_download: str | None = None
    user: str | None = None


class _Message(msgspec.Struct):
    user: str | None = None
    ts: str = ""
    files: list[_File | None] | None = None
    file: _File | None = None


def read_slack(file: BinaryIO) -> Iterator[Item]:
    """What an export holds; see `importers.Importer`. A file that is named again is not told again."""
    with Archive(file) as archive:
        top = _top_of(archive)
        for raw in _entries(archive, f"{top}users.json"):
            user = _read(raw, _User)
            yield Skipped(reason="users.json: an entry that is no user") if user is None else _person(user)
        folders: dict[str, str] = {}
        for name, private in (("channels.json", False), ("groups.json", True), ("mpims.json", True)):
            for raw in _entries(archive, f"{top}{name}"):
                channel = _read(raw, _Channel)
                if channel is None or not channel.name:
                    yield Skipped(reason=f"{name}: an entry that is no channel")
                    continue
                folders[unicodedata.normalize("NFC", channel.name)] = channel.id
                yield Channel(
                    channel_id=channel.id,
                    name=channel.name,
                    is_archived=channel.is_archived,
                    is_private=private,
                )
        direct = _entries(archive, f"{top}dms.json")
        if direct:
            yield Channel(channel_id=DIRECT_MESSAGES, name="Direct Messages", is_private=True, is_direct=True)
        for raw in direct:
            conversation = _read(raw, _Channel)
            if conversation is None:
                yield Skipped(reason="dms.json: an entry that is no conversation")
            else:
                folders[conversation.id] = DIRECT_MESSAGES
        yield from _read_days(archive, top, folders)


def _read_days(archive: Archive, top: str, folders: dict[str, str]) -> Iterator[Item]:
    seen: set[str] = set()
    unknown: set[str] = set()
    for name in archive.names:
        folder, slash, day = name.removeprefix(top).partition("/")
        if not name.startswith(top) or not slash or "/" in day or not day.endswith(".json"):
            continue
        channel_id = folders.get(folder)
        if channel_id is None:
            if folder not in unknown:
                unknown.add(folder)
                yield Skipped(reason=f"the folder {folder[:80]!r} belongs to no channel")
            continue
        data = archive.read(name)
        try:
            messages = msgspec.json.decode(data, type=list[_Message])
        except _UNREADABLE:
            messages = []
            yield from _read_loosely(_mended(data), name, messages)
        yield Messages(count=len(messages))
        for message in messages:
            for file in (*(message.files or ()), message.file):
                if file is None or (file.id and file.id in seen):
                    continue
                seen.add(file.id)
                yield _link(file, message, channel_id)


def _read_loosely(data: bytes, name: str, messages: list[_Message]) -> Iterator[Skipped]:
    """Takes the messages of a day one by one, because not all of them are as they should be."""
    try:
        raws = msgspec.json.decode(data, type=list[msgspec.Raw])
    except _UNREADABLE:
        yield Skipped(reason=f"{name[:120]!r} is no list of messages")
        return
    for raw in raws:
        message = _read(raw, _Message)
        if message is None:
            yield Skipped(reason=f"{name[:120]!r}: a message that cannot be read")
        else:
            messages.append(message)


def _link(file: _File, message: _Message, channel_id: str) -> FileLink | Skipped:
    if file.mode in _GONE:
        return Skipped(reason=f"file {file.id}: it was deleted, or is hidden by the workspace's limit")
    if not file.url_private_download:
        where = "it lies outside Slack" if file.is_external or file.mode == "external" else "it has no download URL"
        return Skipped(reason=f"file {file.id}: {where}")
    if not file.id:
        return Skipped(reason="a file without an id")
    return FileLink(
        file_id=file.id,
        url=file.url_private_download,
        name=file.name or file.title or "",
        channel_id=channel_id,
        user=file.user or message.user or "",
        time=_seconds(message.ts),
        size=_size(file.size),
        content_type=file.mimetype,
    )


def _person(user: _User) -> Person:
    return Person(
        user_id=user.id,
        username=user.name or user.id,
        email=user.profile.email or "",
        is_deleted=user.deleted,
        is_bot=user.is_bot,
        avatar_url=user.profile.image_original or user.profile.image_512,
    )


def _top_of(archive: Archive) -> str:
    """The folder that the export lies in: none, or one that somebody packed around it."""
    tops = {name.rpartition("/")[0] for name in archive.names if name.rpartition("/")[2] in _LISTS[:2]}
    if not tops:
        raise ImportRefusedError("the archive holds neither users.json nor channels.json; is it an export of Slack?")
    top = min(tops, key=lambda folder: (folder.count("/") if folder else -1, folder))
    return f"{top}/" if top else ""


def _entries(archive: Archive, name: str) -> list[msgspec.Raw]:
    data = archive.read(name)
    if not data.strip():
        return []
    try:
        return msgspec.json.decode(_mended(data), type=list[msgspec.Raw])
    except _UNREADABLE as error:
        raise ImportRefusedError(f"{name} in the archive is no list, or is cut short") from error


def _read(raw: msgspec.Raw, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=type_)
    except _UNREADABLE:
        return None


def _mended(data: bytes) -> bytes:
    """The JSON with U+FFFD in the place of half a surrogate pair and of bytes that are no UTF-8.

    Whoever cuts a text in the middle of an emoji writes the former, and no day is to be lost for it.
    """
    text = data.decode(errors="replace")
    return _ESCAPE.sub(lambda found: "\\ufffd" if found["half"] else found[0], text).encode()


def _size(given: Any) -> int | None:
    """A length in bytes; None for what is none, which is no reason not to fetch the file."""
    return given if type(given) is int and 0 <= given <= _LONGEST else None


def _seconds(ts: Any) -> float | None:
    try:
        return float(ts)
    except ValueError:
        return None
