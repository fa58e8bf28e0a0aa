"""Publication of a verified file under its final name: alone, or a small one together with others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Conflict, Download
from downloadd.errors import AlreadyThereError, PartElsewhereError
from downloadd.manager import lifecycle
from downloadd.manager.admission import expected_name
from downloadd.manager.amendment import RequestChangedError, is_publication_changed
from downloadd.manager.small_publications import SmallPublications, UnsuitableError
from downloadd.storage.destination import Destination, Part, RemotePart
from downloadd.storage.names import SafeName, parse_filename, shorten_name
from downloadd.transfer.present_files import PresentFiles


class Publication:
    """Gives part files their final names; `save` writes the row of the run.

    Attributes:
        is_interrupted: True after the run was cancelled while the file may be given its name; the next start finds out.
        attempted: the row before the last try that did not say if the file has its name; None if there was none.
    """

    def __init__(
        self,
        destination: Destination,
        clock: Clock,
        *,
        save: Callable[[Download], Awaitable[Download]],
        small_files: SmallPublications,
        present_files: PresentFiles,
    ) -> None:
        self.attempted: Download | None = None
        self._destination = destination
        self._clock = clock
        self._save = save
        self._small_files = small_files
        self._present_files = present_files
        # Directory and preferred name at the upload, and the chosen name.
        self._uploaded: tuple[str, str, SafeName] | None = None
        self._is_alone = False
        self._is_batched = False
        self.is_interrupted = False
        self._uploading_part: RemotePart | None = None

    @property
    def is_waiting(self) -> bool:
        """Return True while the file waits for unavailable records, or is sent to another machine.

        Both have time limits of their own.
        """
        return self._uploading_part is not None or (self._is_batched and self._small_files.waits_for_records)

    @property
    def uploaded(self) -> int | None:
        """Return the bytes that the other machine has of the file; None while it is not sent to one."""
        return None if self._uploading_part is None else self._uploading_part.uploaded

    async def upload(self, part: Part, download: Download) -> None:
        """Send the bytes of a part that is published on another machine; a cancelled or later run goes on.

        The name is chosen as the publication would choose it now. If it is taken meanwhile, the publication sends the
        bytes again under another name.

        Raises:
            FileExistsAlreadyError: the name is taken, and `conflict=error` holds.
            DownloadError: the storage does not take the bytes at the moment.
        """
        if not isinstance(part, RemotePart):
            return
        directory, filename = download.request.directory, parse_filename(download.filename)
        conflict = select_conflict(download, await self._destination.max_name_bytes(directory=directory))
        name = await self._destination.reserve_name(directory=directory, filename=filename, conflict=conflict)
        if name is None:
            return
        try:
            with self._uploading(part):
                await part.upload(name, last_modified=download.progress.last_modified, directory=directory)
        finally:
            self._destination.release_name(directory=directory, filename=name)
        self._uploaded = directory, download.filename, name

    async def publish(self, part: Part, download: Download) -> Download | None:
        """Publish the part file and return the completed row; None when the name is taken and is to be kept.

        The end of a small file is recorded already: its row has an `ended_seq`.

        Only the end of the process stops a run from here on.

        Raises:
            RequestChangedError: a user has changed if or where the file is published; nothing was published.
            AlreadyThereError: another download has published the same content under the name meanwhile, and the request
                has `skip_same`.
        """
        if download.request.part_directory is not None:
            # Small files are linked into the directory that they were received for.
            self._is_alone = True
        conflict = download.request.conflict
        if conflict is Conflict.OVERWRITE:
            conflict = select_conflict(
                download, await self._destination.max_name_bytes(directory=download.request.directory)
            )
        filename = parse_filename(download.filename)
        uploaded = self._uploaded
        if conflict is Conflict.RENAME and uploaded and uploaded[:2] == (download.request.directory, filename):
            row = await self._publish_as(uploaded[2], part, download, conflict)
            if row is not None:
                return row
        # The name is free nearly always, and a check costs as much as a try. A file that may be overwritten is checked.
        if conflict is not Conflict.OVERWRITE:
            row = await self._publish_as(filename, part, download, conflict)
        else:
            row = await self._publish_held(filename, part, download)
        if row is not None:
            return row
        if download.request.skip_same and await self._present_files.has_content(download, part):
            raise AlreadyThereError(download.file_path)
        while True:
            name = await self._destination.reserve_name(
                directory=download.request.directory, filename=filename, conflict=conflict
            )
            if name is None:
                return None
            try:
                row = await self._publish_as(name, part, download, conflict)
                if row is not None:
                    return row
            finally:
                self._destination.release_name(directory=download.request.directory, filename=name)

    async def claim(self, download: Download) -> Download:
        """Take the part file away from an earlier run that may be publishing it still; return the row with its name.

        Raises:
            DownloadError: the disk does not say.
        """
        existing = download.progress.part_name
        if existing is None:
            return download
        name = await self._destination.claim_part(
            directory=download.part_directory,
            filename=parse_filename(download.filename),
            download_id=download.id,
            epoch=download.epoch,
            existing=existing,
        )
        return download if name is None else download.with_progress(part_name=name)

    async def is_done(self, download: Download) -> bool:
        """Return True if an earlier run, whose disk went away meanwhile, has published the file.

        That is final after `claim`: that run can publish it no longer.

        Raises:
            DownloadError: the disk does not say.
        """
        return await is_published(self._destination, download)

    async def _publish_as(self, name: SafeName, part: Part, download: Download, conflict: Conflict) -> Download | None:
        """Return the completed row of a download that is published as `name`; None when the name is taken."""
        if conflict is not Conflict.OVERWRITE:
            ended = await self._publish_held(name, part, download)
            if ended is not None or (part.is_held and not self._is_alone):
                return ended
        # The recovery after a crash takes a missing part file for a published one.
        await part.write_held()
        # Recorded before the rename, so that a file that has its name is never fetched again.
        named = replace(download.with_progress(publishing=True).with_result(file_identity=None), filename=name)
        row = await self._save(named)
        if is_publication_changed(download.request, row.request):
            raise RequestChangedError(row.request)
        self.attempted = row
        try:
            with self._uploading(part) if isinstance(part, RemotePart) else nullcontext():
                published = await part.publish(
                    name,
                    replace=conflict is Conflict.OVERWRITE,
                    last_modified=download.progress.last_modified,
                    directory=download.request.directory,
                )
        except PartElsewhereError:
            # It has no name there.
            self.attempted = None
            raise
        except asyncio.CancelledError:
            # Its thread goes on, and may close the part before the row of an interrupted run can name it.
            self.is_interrupted = True
            raise
        self.attempted = None
        if not published:
            return None
        return lifecycle.mark_completed(row, now=self._clock.wall()).with_result(file_identity=part.file_identity)

    @contextmanager
    def _uploading(self, part: RemotePart) -> Iterator[None]:
        self._uploading_part = part
        try:
            yield
        finally:
            self._uploading_part = None

    async def _publish_held(self, name: SafeName, part: Part, download: Download) -> Download | None:
        """Publish a held file as `name` together with others; return its recorded end.

        None: the name is taken, or the file is not held or must be published alone.
        """
        if not part.is_held or self._is_alone:
            return None
        file = self._destination.small_files.make(part, name, last_modified=download.progress.last_modified)
        self._is_batched = True
        try:
            return await self._small_files.publish(file, replace(download, filename=name))
        except UnsuitableError:
            self._is_alone = True
            return None
        except asyncio.CancelledError:
            self.is_interrupted = True
            raise
        finally:
            self._is_batched = False


async def is_published(destination: Destination, row: Download) -> bool:
    """Return True if the file of a download that was being published has its final name.

    Raises:
        DownloadError: the disk does not say.
    """
    if not row.progress.publishing or row.progress.total is None:
        return False
    return await destination.is_published(
        directory=row.request.directory,
        part_directory=row.part_directory,
        filename=parse_filename(row.filename),
        total=row.progress.total,
        part_name=row.progress.part_name,
        identity=row.result.file_identity,
        epoch=row.epoch,
    )


def select_conflict(download: Download, max_name_bytes: int) -> Conflict:
    """Return the action for a name that is taken. An origin must not choose which file is overwritten.

    `max_name_bytes` is the limit of the disk, to which the name of the URL was shortened.
    """
    if download.request.conflict is not Conflict.OVERWRITE:
        return download.request.conflict
    expected = shorten_name(expected_name(download), max_name_bytes)
    return Conflict.OVERWRITE if download.filename == expected else Conflict.RENAME
