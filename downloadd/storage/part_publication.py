"""Publication and removal of a part file. All of it runs in threads."""

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack

from downloadd.directory_settings import DirectorySettings
from downloadd.errors import PartElsewhereError
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.part_descriptor import PartDescriptor, delete_part
from downloadd.storage.part_sync import PartSync
from downloadd.storage.published_files import identify_published
from downloadd.storage.publisher import Publisher
from downloadd.storage.quotas import QuotaCharge
from downloadd.storage.root import stat_entry


class PartPublication:
    """The end of one part file: its final name, or its removal.

    Attributes:
        is_unlinked: True after the name of the part file was published or removed.
        file_identity: the identity of the published file, as `identify_published` states it; None before.
    """

    def __init__(
        self,
        descriptor: PartDescriptor,
        *,
        part_sync: PartSync,
        publisher: Publisher,
        charge: QuotaCharge,
        directory_settings: Callable[[str], DirectorySettings],
    ) -> None:
        self.is_unlinked = False
        self.file_identity: str | None = None
        self._descriptor = descriptor
        self._part_sync = part_sync
        self._publisher = publisher
        self._charge = charge
        self._directory_settings = directory_settings

    def publish(self, final: SafeName, directory: SafeDirectory, replace: bool, last_modified: int | None) -> bool:
        """Publish the part file as `final` in a directory of its file system, and close it.

        Returns:
            False when the name is taken and not replaced.

        Raises:
            PartElsewhereError: the directory is on another file system.
        """
        descriptor = self._descriptor
        is_elsewhere = directory != descriptor.directory
        with descriptor.exclusive():
            fd = descriptor.open()
            self._part_sync.raise_earlier_error()
            descriptor.check_root()
            with ExitStack() as stack:
                stack.enter_context(self._charge.publishing(directory))
                directory_fd = stack.enter_context(descriptor.root.open_directory(directory, create=is_elsewhere))
                part_fd = directory_fd
                if is_elsewhere:
                    part_fd = stack.enter_context(descriptor.root.open_directory(descriptor.directory))
                replaced = stat_entry(final, directory_fd) if replace else None
                try:
                    published = self._publisher.publish(
                        fd,
                        directory_fd,
                        descriptor.name,
                        final,
                        replace=replace,
                        last_modified=last_modified,
                        directory_settings=self._directory_settings(directory),
                        part_directory_fd=part_fd,
                    )
                except OSError as error:
                    if error.errno == errno.EXDEV and is_elsewhere:
                        raise PartElsewhereError(descriptor.directory, directory) from error
                    raise
                if published:
                    self.is_unlinked = True
                    self.file_identity = identify_published(os.fstat(fd))
                    descriptor.release()
                    if replaced is not None:
                        self._charge.subtract(replaced.st_size)
            return published

    def end(self, file_identity: str | None) -> None:
        """Close the part, whose bytes were published without a part file."""
        with self._descriptor.exclusive():
            self.is_unlinked = True
            self.file_identity = file_identity
            self._descriptor.release()

    def remove(self) -> None:
        """Close the part file and delete it, unless it was published or removed before."""
        with self._descriptor.exclusive():
            self._descriptor.release()
            if not self.is_unlinked:
                size = delete_part(self._descriptor.root, self._descriptor.directory, self._descriptor.name)
                self._charge.subtract(size)
                self.is_unlinked = True
