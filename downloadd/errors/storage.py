"""Errors of the storage: the disk, the quotas and the storage root.

Pure: no I/O and no clock.
"""

from downloadd.errors.base import DownloadError, Occasion
from downloadd.errors.origin import FileTooLargeError
from downloadd.sizes import format_rounded_size


class FileExistsAlreadyError(DownloadError, code="FILE_EXISTS"):
    """Name (`path`, relative to the root) that exists, requested with `conflict=error`."""

    status = 409
    title = "File exists"
    description = "A file with this name exists, and the download must not replace it"
    resolution = "Choose another filename, or conflict=rename, overwrite or skip"
    advice = "`conflict=error` requests this; `rename`, `overwrite` and `skip` handle the conflict differently."
    occasions = frozenset({Occasion.START})

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists, and conflict=error was requested")
        self.path = path


class AlreadyThereError(DownloadError, code="ALREADY_THERE"):
    """File of the name that has the content already, with `skip_same`: nothing is saved."""

    status = 409
    title = "Already there"
    description = "The file of this name has the content that the download would have, and `skip_same` was requested"
    resolution = "Nothing is to be done; the file that is there is the current one"
    advice = (
        "The download is `skipped`, which is a success. [Files that are there already]"
        "(../how-to/known-files.md) says how the file is compared."
    )
    occasions = frozenset[Occasion]()

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is there already, with the same content")
        self.path = path


class InsufficientStorageError(DownloadError, code="INSUFFICIENT_STORAGE"):
    """Disk or quota without enough free space.

    Attributes:
        permanent: waiting does not help: the disk is smaller than the file, or a quota is used up.
        missing: bytes below `directory` that would have to be removed first; None if unknown, or if that is not
            possible. Nothing was written then.
        directory: the directory whose quota is exceeded; "" for the storage root.
    """

    status = 507
    title = "Insufficient storage"
    description = "The disk is full, or free space would fall below the configured reserve"
    resolution = "Free disk space, or contact administrator to lower min_free"
    advice = (
        "`df` shows the free space. `storage.min_free` always stays free, and a directory may have a `quota`. A "
        "download whose announced length does not fit now waits in the queue; this error ends one that never fits."
    )
    occasions = frozenset({Occasion.END, Occasion.UPLOAD})

    def __init__(
        self, detail: str, *, permanent: bool = False, missing: int | None = None, directory: str = ""
    ) -> None:
        super().__init__(detail)
        self.permanent = permanent
        self.missing = missing
        self.directory = directory

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later."""
        return not self.permanent


class SpacePendingError(InsufficientStorageError):
    """Announced length that does not fit now, beside the running downloads; it fits when they or others free space.

    The download waits in the queue; the attempt is not a failure.

    Attributes:
        needed: bytes that are still to be written.
        kept: bytes in the part file.
        available: bytes that the disk has for it.
    """

    def __init__(self, *, needed: int, kept: int, available: int) -> None:
        super().__init__(
            f"waits for space on the disk: needs {format_rounded_size(needed)}, {format_rounded_size(available)} free",
            missing=needed - available,
        )
        self.needed = needed
        self.kept = kept
        self.available = available


class FileTooLargeForDiskError(FileTooLargeError):
    """File larger than the file system, or the limit of the process (RLIMIT_FSIZE), allows."""

    # The bytes are right, but no attempt can complete them here.
    invalidates_part = True

    def __init__(self, detail: str) -> None:
        super(FileTooLargeError, self).__init__(detail)


class FileChangedError(DownloadError, code="FILE_CHANGED"):
    """File that is not the one that a download published, so that it is neither removed nor sent for it."""

    status = 409
    title = "File changed"
    description = "The file was changed or replaced since it was published, or cannot be recognised"
    resolution = "Check the file, and fetch or remove it by hand; remove the entry of the history without the file"
    advice = (
        "The daemon sends a file only if size and modification time are those of its publication. It removes a file "
        "only if the inode is the same too, or if it has the recorded checksum; `downloads.record_checksum` records "
        "one for every file."
    )
    # Removal and reading alone report it.
    occasions = frozenset[Occasion]()


class StorageError(DownloadError, code="STORAGE_ERROR"):
    """Write that the storage refused for another reason than space.

    Attributes:
        transient: the obstacle passes, or does not exist for an attempt that starts over.
    """

    status = 500
    title = "Storage error"
    description = "The server could not write to its storage directory"
    resolution = "Contact administrator to check the storage directory's permissions and health"
    advice = (
        "The log has the message of the operating system, for example about permissions, a read-only disk or a broken "
        "one. The daemon waits for a storage root that is missing (unmounted, moved, removed), does not answer, or "
        "takes no writes at all: put it back, and all downloads continue."
    )
    occasions = frozenset({Occasion.END, Occasion.IMPORT})

    def __init__(self, detail: str, *, transient: bool = False) -> None:
        super().__init__(detail)
        self._transient = transient

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later."""
        return self._transient


class StorageAwayError(StorageError):
    """Disk that does not answer, or refuses every write: its server, its program or the device itself is missing.

    No download fails because of it: each waits until the disk is back.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail, transient=True)


class StagingFullError(StorageAwayError):
    """Directory of an object storage whose files that wait for their upload use up its `staging_size`."""

    def __init__(self, directory: str, limit: int) -> None:
        super().__init__(
            f"waits for uploads: the files of {directory} that are not in the object storage yet use up the "
            f"{format_rounded_size(limit)} of the disk that they may have (staging_size in [[storages]])"
        )


class NotOnDiskError(StorageError):
    """File in object storage, for an action that needs a file on the disk."""


class PartElsewhereError(StorageAwayError):
    """Directory on another file system than the part file, which cannot be renamed into it. Nothing has changed."""

    def __init__(self, part_directory: str, directory: str) -> None:
        super().__init__(
            f"the received bytes are in {part_directory or 'the storage root'}, and {directory or 'the storage root'} "
            "is on another file system; choose a directory of the same one"
        )


class StorageRootMissingError(StorageAwayError):
    """Storage root that is not at its path, or is another directory than at the start."""
