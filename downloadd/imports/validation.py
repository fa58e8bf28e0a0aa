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
    WorkspaceUser,
)
from downloadd.imports.refusal import ImportRefusedError
from downloadd.policy.redaction import redact_url
from downloadd.storage.names import parse_directory, parse_filename
from downloadd.verify import parse_checksum

log = structlog.get_logger()

MAX_ENTITIES: Final = 200_000
"""Users and channels of one import, all of which are in one response."""
MAX_ENTITIES_BYTES: Final = 48 << 20
"""Bytes of memory for the texts of all users and channels."""
MAX_SKIPPED: Final = 1_000_000
"""Entries of a file that are skipped before the file is refused."""
MAX_SKIPPED_LOGGED: Final = 1_000
"""Skipped entries of a file that are logged."""
MAX_ENTRY_BYTES: Final = 512 * 1024
"""Bytes of memory for the texts of one entry: enough for 16 URLs of maximal length."""
MAX_CHUNK_ITEMS: Final = 2_000
MAX_CHUNK_BYTES: Final = 8 << 20
"""Bytes of memory for the texts of one chunk."""

ValidItem = WorkspaceUser | Channel | FileLink
"""Item to be recorded."""


class ItemValidator:
    """Validator of the items of one import file.

    Attributes:
        messages: number of messages read.
        skipped: number of entries skipped.
        has_files_without_channel: True after a file that belongs to no channel.
        is_cancelled: set by another thread to end `validate` at the next item.
    """

    def __init__(self, directory: str) -> None:
        """Take the directory of the import."""
        self.messages = 0
        self.skipped = 0
        self.has_files_without_channel = False
        self.is_cancelled = False
        self._directory = directory
        self._entity_count = 0
        self._entities_bytes = 0

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
                case SkippedEntry(reason=reason):
                    self._skip(reason)
                case _ if estimate_bytes(item) > MAX_ENTRY_BYTES:
                    self._skip(f"an entry that is longer than {MAX_ENTRY_BYTES >> 10} KiB")
                case FileLink():
                    link = self._validate_link(item)
                    if link is not None:
                        yield link
                case _:
                    self._count_entity(item)
                    yield item

    def _validate_link(self, link: FileLink) -> FileLink | None:
        if link.channel_id:
            return link
        try:
            parse_directory(f"{self._directory}/{link.directory}")
            if link.name:
                parse_filename(link.name)
            if link.checksum is not None:
                parse_checksum(link.checksum)
        except DownloadError as error:
            # The detail quotes the value, which may be a misplaced URL with a password.
            is_public = all(redact_url(text) == text for text in (link.directory, link.name, link.checksum or ""))
            self._skip(error.detail if is_public else "a directory, name or checksum that holds a secret")
            return None
        self.has_files_without_channel = True
        return replace(link, channel_id=FILES_CHANNEL_ID)

    def _count_entity(self, entity: WorkspaceUser | Channel) -> None:
        self._entity_count += 1
        self._entities_bytes += estimate_bytes(entity)
        if self._entity_count > MAX_ENTITIES or self._entities_bytes > MAX_ENTITIES_BYTES:
            raise ImportRefusedError(
                f"the file names more than {MAX_ENTITIES} users and channels, or describes them at too great length",
                ImportErrorCode.FILE_TOO_LARGE,
            )

    def _skip(self, reason: str) -> None:
        self.skipped += 1
        if self.skipped > MAX_SKIPPED:
            raise ImportRefusedError(
                f"more than {MAX_SKIPPED} entries of the file cannot be imported", ImportErrorCode.FILE_TOO_LARGE
            )
        # A file may consist of skipped entries only; the operation has their number.
        if self.skipped <= MAX_SKIPPED_LOGGED:
            log.info("import_entry_skipped", reason=reason)


def estimate_bytes(item: ValidItem) -> int:
    """Return the approximate number of bytes of memory that the texts of an item take."""
    texts = [text for text in msgspec.structs.astuple(item) if isinstance(text, str)]
    if isinstance(item, FileLink):
        texts += item.mirrors
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
