"""Destination that saves files on the disk or on other machines, by their directory."""

from collections.abc import AsyncIterator, Mapping, Sequence

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Conflict
from downloadd.metrics import StorageUsage, UploadMetrics
from downloadd.remote_upload import UploadRecords
from downloadd.root_identity import RootIdentity
from downloadd.storage.destination import Part, PartEntry
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.finished_files import FileReader, ReadableFile
from downloadd.storage.free_space import UnannouncedSpace
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import SafeDirectory, SafeName, parse_directory, parse_part_name
from downloadd.storage.present_file import PresentFile
from downloadd.storage.quotas import is_within
from downloadd.storage.remote.remote_files import (
    READ_CHUNK_BYTES,
    open_present_file,
    open_published_file,
    remove_published_file,
)
from downloadd.storage.remote.remote_names import RemoteNames
from downloadd.storage.remote.remote_storage import RemoteStorage
from downloadd.storage.remote.staged_part import Describe, StagedPart
from downloadd.storage.remote.uploader import Uploader


class RemoteStorages:
    """The storages on other machines, by directory."""

    def __init__(self, storages: Sequence[RemoteStorage]) -> None:
        self._storages = storages

    def find(self, directory: str) -> RemoteStorage | None:
        """Return the storage of a directory; None if its files are on the disk."""
        return next((each for each in self._storages if is_within(directory, each.path)), None)

    def find_url(self, url: str) -> RemoteStorage | None:
        """Return the storage of a URL; None if no table has it any more."""
        return next((each for each in self._storages if each.url == url), None)


def add_staging_limit(settings: DirectorySettings, limits: Mapping[str, int], directory: str) -> DirectorySettings:
    """Return the settings of a directory with the limit on staged files as a quota; `limits` is by path."""
    quotas = tuple(
        Quota(directory=path, limit=limit) for path, limit in limits.items() if limit and is_within(directory, path)
    )
    if not quotas:
        return settings
    return replace(settings, quotas=(*settings.quotas, *quotas))


class RoutingDestination:
    """Disk and other machines together; implements `Destination` and `ReplaceableRoot`.

    Part files are on the disk always, at their path below the root.
    """

    def __init__(
        self,
        local: LocalDestination,
        storages: RemoteStorages,
        *,
        records: UploadRecords,
        describe: Describe,
        clock: Clock,
        metrics: UploadMetrics,
    ) -> None:
        self._local = local
        self._storages = storages
        self._records = records
        self._describe = describe
        self._clock = clock
        self._metrics = metrics
        self._names = RemoteNames()
        self.small_files = local.small_files

    async def open_part(
        self,
        *,
        directory: str,
        filename: SafeName,
        download_id: str,
        epoch: int,
        existing: str | None,
        restart: int = 0,
    ) -> Part:
        """Open the part file of a run; see `Destination.open_part`."""
        staged = await self._local.open_part(
            directory=directory,
            filename=filename,
            download_id=download_id,
            epoch=epoch,
            existing=existing,
            restart=restart,
        )
        place = parse_directory(directory)
        storage = self._storages.find(place)
        if storage is None:
            return staged
        return StagedPart(
            staged,
            directory=place,
            download_id=download_id,
            storage=storage,
            uploaders=self._find_uploader,
            describe=self._describe,
            has_part=lambda name: self._local.has_part(directory=directory, name=name),
        )

    async def claim_part(
        self, *, directory: str, filename: SafeName, download_id: str, epoch: int, existing: str
    ) -> str | None:
        """Rename the part file of an earlier epoch; see `Destination.claim_part`."""
        return await self._local.claim_part(
            directory=directory, filename=filename, download_id=download_id, epoch=epoch, existing=existing
        )

    async def has_part(self, *, directory: str, name: str) -> bool:
        """Return True if a part file exists."""
        return await self._local.has_part(directory=directory, name=name)

    async def remove_part(self, *, directory: str, name: str) -> None:
        """Delete a part file; `AbandonedUploads` aborts its upload once its download has ended."""
        await self._local.remove_part(directory=directory, name=name)

    async def max_name_bytes(self, *, directory: str) -> int:
        """Return the bytes of the longest name that the storage takes in a directory."""
        limit = await self._local.max_name_bytes(directory=directory)
        place = parse_directory(directory)
        storage = self._storages.find(place)
        return limit if storage is None else min(limit, storage.max_name_bytes(place))

    async def can_rename(self, *, directory: str, to: str) -> bool:
        """Return True if a file of a directory can be published in another one: both on the disk, or in one storage."""
        places = parse_directory(directory), parse_directory(to)
        if self._storages.find(places[0]) is not self._storages.find(places[1]):
            return False
        return await self._local.can_rename(directory=directory, to=to)

    async def exists(self, *, directory: str, filename: SafeName) -> bool:
        """Return True if the final name is taken."""
        place, storage = self._route(directory)
        if storage is None:
            return await self._local.exists(directory=directory, filename=filename)
        return await self._names.exists(storage, place, filename)

    async def reserve_name(self, *, directory: str, filename: SafeName, conflict: Conflict) -> SafeName | None:
        """Reserve the name to publish under, by the conflict policy; see `Destination.reserve_name`."""
        place, storage = self._route(directory)
        if storage is None:
            return await self._local.reserve_name(directory=directory, filename=filename, conflict=conflict)
        return await self._names.reserve(storage, place, filename, conflict)

    def release_name(self, *, directory: str, filename: SafeName) -> None:
        """Release a name that `reserve_name` returned."""
        place, storage = self._route(directory)
        if storage is None:
            self._local.release_name(directory=directory, filename=filename)
        else:
            self._names.release(place, filename)

    async def is_published(
        self,
        *,
        directory: str,
        filename: SafeName,
        total: int,
        part_name: str | None,
        identity: str | None = None,
        part_directory: str | None = None,
        epoch: int = 0,
    ) -> bool:
        """Return True if the final file of a download that was being published at a crash is in place.

        On another machine, its metadata or the record of its upload names the download.
        """
        place, storage = self._route(directory)
        if storage is None:
            return await self._local.is_published(
                directory=directory,
                filename=filename,
                total=total,
                part_name=part_name,
                identity=identity,
                part_directory=part_directory,
                epoch=epoch,
            )
        key = storage.key_of(place, filename)
        if part_name is None:
            found = await storage.find(key)
        else:
            owner = parse_part_name(part_name)
            if owner is None:
                return False
            found = await self._make_uploader(storage).find_own(key, owner[0])
        if found is None or found.size != total or identity not in {None, found.identity}:
            return False
        if part_name is not None:
            await self._local.remove_part(directory=part_directory or directory, name=part_name)
        return True

    async def remove_file(
        self, *, directory: str, filename: SafeName, identity: str | None, checksum: str | None
    ) -> bool:
        """Remove a published file; see `Destination.remove_file`."""
        place, storage = self._route(directory)
        if storage is None:
            return await self._local.remove_file(
                directory=directory, filename=filename, identity=identity, checksum=checksum
            )
        return await remove_published_file(storage, place, filename, identity=identity, checksum=checksum)

    async def read_file(self, *, directory: str, filename: SafeName) -> AsyncIterator[bytes]:
        """Yield the content of a final file in pieces."""
        place, storage = self._route(directory)
        if storage is None:
            async for piece in self._local.read_file(directory=directory, filename=filename):
                yield piece
            return
        async with await open_present_file(storage, place, filename) as file:
            offset = 0
            while piece := await file.read(offset, READ_CHUNK_BYTES):
                yield piece
                offset += len(piece)

    async def check_root(self) -> None:
        """Check that the root is there, and is the one that was used before."""
        await self._local.check_root()

    async def accept_root(self) -> RootIdentity:
        """Use the root that is there; see `ReplaceableRoot.accept_root`."""
        return await self._local.accept_root()

    async def try_writing(self) -> None:
        """Check the root, and that it takes writes, by a trial."""
        await self._local.try_writing()

    async def check_directory(self, *, directory: str) -> None:
        """Check that a directory takes writes, and that its storage answers.

        Raises:
            DownloadError: it does not.
        """
        await self._local.check_directory(directory=directory)
        _, storage = self._route(directory)
        if storage is not None:
            await storage.check()

    async def check_free_space(self, needed: int) -> None:
        """Check that `needed` more bytes leave `min_free` bytes of the disk free."""
        await self._local.check_free_space(needed)

    async def measure_unannounced(self) -> UnannouncedSpace:
        """Measure the space of the disk that no open part has reserved."""
        return await self._local.measure_unannounced()

    async def directories(self, prefix: str, limit: int) -> list[str]:
        """Return directories that begin with `prefix`; those on other machines as far as the disk has them too."""
        return await self._local.directories(prefix, limit)

    async def measure_use(self, quotas: Sequence[Quota]) -> StorageUsage:
        """Return the use of the disk and of the directories that have these quotas."""
        return await self._local.measure_use(quotas)

    def list_parts(self) -> AsyncIterator[Sequence[PartEntry]]:
        """Yield all part files below the root except for open ones."""
        return self._local.list_parts()

    def _route(self, directory: str) -> tuple[SafeDirectory, RemoteStorage | None]:
        place = parse_directory(directory)
        return place, self._storages.find(place)

    def _find_uploader(self, directory: str) -> tuple[RemoteStorage, Uploader] | None:
        storage = self._storages.find(directory)
        return None if storage is None else (storage, self._make_uploader(storage))

    def _make_uploader(self, storage: RemoteStorage) -> Uploader:
        return Uploader(storage, self._records, self._clock, self._metrics)


class RoutingFiles:
    """Finished files of the disk and of other machines; implements `FileReader`."""

    def __init__(self, local: FileReader, storages: RemoteStorages) -> None:
        self._local = local
        self._storages = storages

    async def open(self, *, directory: str, filename: SafeName, identity: str | None) -> ReadableFile:
        """Open the file that a download has published; see `FileReader.open`."""
        place = parse_directory(directory)
        storage = self._storages.find(place)
        if storage is None:
            return await self._local.open(directory=directory, filename=filename, identity=identity)
        return await open_published_file(storage, place, filename, identity)

    async def open_present(self, *, directory: str, filename: SafeName) -> PresentFile | None:
        """Open the file that has a name now; see `FileReader.open_present`."""
        if self._storages.find(parse_directory(directory)) is not None:
            return None
        return await self._local.open_present(directory=directory, filename=filename)

    async def list_entries(self, directory: str, *, after: str, limit: int) -> list[DirectoryEntry]:
        """Return files and directories; see `FileReader.list_entries`."""
        place = parse_directory(directory)
        storage = self._storages.find(place)
        if storage is None:
            return await self._local.list_entries(directory, after=after, limit=limit)
        return await storage.list_entries(place, after=after, limit=limit)
