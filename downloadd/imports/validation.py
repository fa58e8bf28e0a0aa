"""Validation of the items that an importer reads, with limits on their number and size.

Pure: no I/O and no clock.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.errors import DownloadError
from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportErrorCode,
    ImportItem,
    MessageCount,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.imports.checksum_format import file_name_of, is_checksum_list
from downloadd.imports.layout import format_channel_directory
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.skipping import shorten
from downloadd.policy.redaction import redact_url
from downloadd.policy.url import has_http_scheme
from downloadd.storage.names import parse_directory, parse_filename, relative_to_root
from downloadd.verify import parse_checksum

log = structlog.get_logger()

MAX_ENTITIES: Final = 500_000
"""Users and channels of one import, all of which are in one response."""
MAX_ENTITIES_BYTES: Final = 192 << 20
"""Bytes of the texts of all users and channels."""
MAX_CHECKSUM_LISTS: Final = 10_000
"""Different lists of checksums that one import file gives by their URLs."""
MAX_SKIPPED: Final = 250_000
"""Entries of a file that are skipped before the file is refused."""
MAX_SKIPPED_LOGGED: Final = 1_000
"""Skipped entries of a file that are logged."""
MAX_ENTRY_BYTES: Final = 512 * 1024
"""Bytes of memory for the texts of one entry: enough for 16 URLs of maximal length."""
_MAX_CHANNEL_ID_CHARACTERS: Final = 255
MAX_CHUNK_ITEMS: Final = 2_000
MAX_CHUNK_BYTES: Final = 8 << 20
"""Bytes of memory for the texts of one chunk."""

ValidItem = WorkspaceUser | Channel | FileLink | SkippedEntry
"""Item to be recorded."""


class ItemValidator:
    """Validator of the items of one import file.

    Attributes:
        messages: number of messages read.
        skipped: number of entries skipped.
        is_cancelled: set by another thread to end `validate` at the next item.
    """

    def __init__(self, directory: str, root: str) -> None:
        """Take the directory of the import, and the absolute path of the storage root."""
        self.messages = 0
        self.skipped = 0
        self._has_files_without_channel = False
        self.is_cancelled = False
        self._directory = directory
        self._root = root
        self._checksum_lists: set[str] = set()
        self._entity_count = 0
        self._entities_bytes = 0

    @property
    def needs_files_channel(self) -> bool:
        """Return True if files belong to no channel, or the file has only entries that are skipped."""
        return self._has_files_without_channel or (self.skipped > 0 and not self._entity_count)

    def validate(self, items: Iterator[ImportItem]) -> Iterator[ValidItem]:
        """Yield the items to be recorded.

        Raises:
            ImportRefusedError: the file exceeds a limit.
        """
        for item in items:
            if self.is_cancelled:
                return
            match item:
                case MessageCount(count=count):
                    self.messages += count
                case SkippedEntry():
                    yield self._skip(item)
                case _ if estimate_bytes(item) > MAX_ENTRY_BYTES:
                    yield self._skip(_too_long(item))
                case FileLink():
                    yield from self._validate_link(item)
                case Channel():
                    self._count_entity(item)
                    yield replace(item, directory=format_channel_directory(item.name, item.channel_id))
                case WorkspaceUser():
                    self._count_entity(item)
                    yield item

    def _validate_link(self, link: FileLink) -> Iterator[FileLink | SkippedEntry]:
        if link.channel_id:
            yield link
            return
        if link.checksum is not None and has_http_scheme(link.checksum):
            link = replace(link, checksum=None, checksum_list=link.checksum)
        # As aria2's session file of this daemon's own directories states it.
        relative = relative_to_root(link.directory, self._root)
        if relative is not None:
            link = replace(link, directory=relative)
        try:
            parse_directory(f"{self._directory}/{link.directory}")
            if link.name:
                parse_filename(link.name)
            if link.checksum is not None:
                parse_checksum(link.checksum)
        except DownloadError as error:
            # The detail quotes the value, which may be a misplaced URL with a password.
            is_public = all(redact_url(text) == text for text in (link.directory, link.name, link.checksum or ""))
            detail = error.detail if is_public else "a directory, name or checksum that holds a secret"
            # In a list, the line is the place.
            name = "/".join(part for part in (link.directory, link.name) if part)
            entry = shorten(name) if is_public and link.line is None else ""
            yield self._skip(SkippedEntry(reason=SkipReason.INVALID_NAME, detail=detail, entry=entry, line=link.line))
            return
        self._has_files_without_channel = True
        if link.checksum_list and link.checksum_list not in self._checksum_lists:
            self._checksum_lists.add(link.checksum_list)
            if len(self._checksum_lists) > MAX_CHECKSUM_LISTS:
                raise ImportRefusedError(
                    f"the file names more than {MAX_CHECKSUM_LISTS} lists of checksums", ImportErrorCode.FILE_TOO_LARGE
                )
            yield FileLink(
                file_id=link.checksum_list,
                url=link.checksum_list,
                directory=link.directory,
                channel_id=FILES_CHANNEL_ID,
                is_checksum_list=True,
            )
        yield replace(
            link,
            channel_id=FILES_CHANNEL_ID,
            is_checksum_list=is_checksum_list(file_name_of(link.url)) and link.checksum_list == "",
        )

    def _count_entity(self, entity: WorkspaceUser | Channel) -> None:
        self._entity_count += 1
        self._entities_bytes += estimate_bytes(entity)
        if self._entity_count > MAX_ENTITIES or self._entities_bytes > MAX_ENTITIES_BYTES:
            raise ImportRefusedError(
                f"the file names more than {MAX_ENTITIES} users and channels, or describes them at too great length",
                ImportErrorCode.FILE_TOO_LARGE,
            )

    def _skip(self, entry: SkippedEntry) -> SkippedEntry:
        self.skipped += 1
        if self.skipped > MAX_SKIPPED:
            raise ImportRefusedError(
                f"more than {MAX_SKIPPED} entries of the file cannot be imported", ImportErrorCode.FILE_TOO_LARGE
            )
        # A file may consist of skipped entries only; the records have all of them.
        if self.skipped <= MAX_SKIPPED_LOGGED:
            log.info("import_entry_skipped", reason=entry.reason, detail=entry.detail)
        return entry


def _too_long(item: WorkspaceUser | Channel | FileLink) -> SkippedEntry:
    """Return the report of an item that is too long; its channel is known if that of a file is."""
    entry = SkippedEntry(reason=SkipReason.TOO_LONG, detail=f"an element is longer than {MAX_ENTRY_BYTES >> 10} KiB")
    if not isinstance(item, FileLink):
        return entry
    return replace(
        entry,
        line=item.line,
        file_id=shorten(item.file_id),
        channel_id=item.channel_id[:_MAX_CHANNEL_ID_CHARACTERS],
    )


def estimate_bytes(item: ValidItem) -> int:
    """Return the approximate number of bytes of memory that the texts of an item take."""
    texts = [text for text in msgspec.structs.astuple(item) if isinstance(text, str)]
    if isinstance(item, FileLink):
        texts += item.mirrors
        texts.append("" if item.request_fields is None else msgspec.json.encode(item.request_fields).decode())
    # One character outside of the basic plane makes each character of its text take four bytes.
    return sum(len(text) if text.isascii() else 4 * len(text) for text in texts)


def next_chunk(items: Iterator[ValidItem]) -> list[ValidItem]:
    """Return the next items, up to the limits of a chunk; empty at the end."""
    chunk, size = [], 0
    for item in items:
        chunk.append(item)
        size += estimate_bytes(item)
        if len(chunk) >= MAX_CHUNK_ITEMS or size >= MAX_CHUNK_BYTES:
            break
    return chunk
