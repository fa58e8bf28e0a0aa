"""Syncs of a part file to stable storage, also ahead of its end. All but `start` runs in threads."""

from typing import Final

from downloadd.errors import StorageRootMissingError
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.part_descriptor import PartClosedError, PartDescriptor
from downloadd.storage.publisher import Publisher

MAX_UNSYNCED_BYTES: Final = 32 << 20
"""Written bytes after which a sync is started; otherwise all of a large file would be synced at publication."""


class PartSync:
    """Syncs of one part file.

    Attributes:
        synced: end of the last byte at the last sync; 0 before the first.
    """

    def __init__(self, descriptor: PartDescriptor, *, threads: DiskThreadPools, publisher: Publisher) -> None:
        self.synced = 0
        self._descriptor = descriptor
        self._threads = threads
        self._publisher = publisher
        self._unsynced = 0
        self._is_syncing = False
        self._error: OSError | None = None

    def add_written(self, nbytes: int) -> bool:
        """Count written bytes, under the lock of the descriptor; return True if a sync should be started."""
        self._unsynced += nbytes
        return self._unsynced >= MAX_UNSYNCED_BYTES

    def start(self) -> None:
        """Start to sync the bytes that are written so far, without waiting; may be called on the event loop."""
        # Not under the lock, which the event loop must not wait for: at worst two syncs run.
        if not self._is_syncing:
            self._unsynced = 0
            self._is_syncing = True
            self._threads.submit(DiskPool.SYNCS, self._sync_in_background)

    def sync(self) -> None:
        """Sync the bytes that are written so far.

        Raises:
            OSError: this sync or an earlier one failed.
        """
        with self._descriptor.shared() as fd:
            self.raise_earlier_error()
            size = self._descriptor.size
            self._publisher.sync(fd)
            self.synced = size

    def raise_earlier_error(self) -> None:
        """Raise the error of a sync in the background; the kernel reports it only once.

        Raises:
            OSError: such a sync failed.
        """
        if self._error is not None:
            raise self._error

    def _sync_in_background(self) -> None:
        try:
            with self._descriptor.shared() as fd:
                size = self._descriptor.size
                self._publisher.sync_data(fd)
                self.synced = size
        except OSError as error:
            self._error = error
        except (PartClosedError, StorageRootMissingError):
            # A closed part needs no further sync, and without a root there are no bytes.
            pass
        finally:
            self._is_syncing = False
