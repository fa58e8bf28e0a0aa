"""Changes of downloads by users: what they need of the disk, the records, the queue and a run."""

from contextlib import suppress
from functools import partial

from downloadd.download import Download, Snapshot
from downloadd.errors import InvalidStateError, NotFoundError, PartElsewhereError
from downloadd.manager import lifecycle
from downloadd.manager.admission_checks import AdmissionChecks
from downloadd.manager.admission_control import AdmissionControl
from downloadd.manager.amendment import CheckedChange, amend
from downloadd.manager.other_nodes import OtherNodes
from downloadd.manager.protocol import DownloadChange
from downloadd.manager.run_restart import Change, RestartNeededError
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.records.protocol import Records
from downloadd.states import FINISHED, RUNNING, WAITING
from downloadd.storage.destination import Destination


class Amender:
    """Changes downloads. A run applies what concerns the publication of its file, without an interruption.

    Other requests restart it: its bytes and its slot are kept.
    """

    def __init__(
        self,
        *,
        records: Records,
        destination: Destination,
        admission: AdmissionControl,
        checks: AdmissionChecks,
        runner: Runner,
        runs: RunTable,
        others: OtherNodes,
    ) -> None:
        self._records = records
        self._destination = destination
        self._admission = admission
        self._checks = checks
        self._runner = runner
        self._runs = runs
        self._others = others

    async def amend(self, id: str, changes: DownloadChange) -> Snapshot:
        """Change a download; see `amendment.amend`.

        Raises:
            NotFoundError: the id is unknown.
            InvalidStateError: its state does not allow the change, or its received bytes cannot be published in the new
                directory.
            FileExistsAlreadyError: the new name is taken, and `conflict=error` holds.
            DownloadError: a value cannot be used.
        """
        change = self._admission.check_change(changes)
        if change.publication:
            await self._check_publication(id, change)
        apply = partial(amend, change=change)
        while True:
            try:
                before, after = await self._runner.amend(id, apply)
                break
            except RestartNeededError:
                pass
            row = await self._records.get(id)
            if row is not None and await self._others.runs(row):
                return await self._restart_elsewhere(id, apply)
            # Its run may have ended, and another one have begun, meanwhile.
            with suppress(RestartNeededError):
                _, after = await self._runner.restart(id, apply)
                return await self._runs.snapshot(after)
        if after.state in WAITING:
            await self._runner.enqueue(after, before=before.state)
        elif after.state not in FINISHED:
            await self._runner.publish_changed([(after, before.state)])
        return await self._runs.snapshot(after)

    async def _restart_elsewhere(self, id: str, change: Change) -> Snapshot:
        """Change the row of a download that another node runs, and let any node run it anew, in one step.

        The run there is fenced: it stops after a hint, or with its next heartbeat or write. If that node dies, another
        one has the download in its queue already.

        Raises:
            InvalidStateError: the run cannot be restarted any more.
        """
        before, after = await self._runner.amend(id, partial(lifecycle.restart, change=change))
        self._others.hint_fenced(id)
        if after.state in WAITING:
            await self._runner.enqueue(after, before=before.state)
        else:
            await self._runner.publish_changed([(after, before.state)])
        return await self._runs.snapshot(after)

    async def _check_publication(self, id: str, change: CheckedChange) -> None:
        """Check that the disk takes the file under its new name and in its new directory."""
        before = await self._records.get(id)
        if before is None:
            raise NotFoundError("no download has this id")
        after = amend(before, change.without_requests if before.state in RUNNING else change)
        await self._checks.check_name(after)
        if after.request.directory != before.request.directory:
            await self._check_rename(after)

    async def _check_rename(self, download: Download) -> None:
        directory, part_directory = download.request.directory, download.part_directory
        if part_directory != directory and not await self._destination.can_rename(
            directory=part_directory, to=directory
        ):
            raise InvalidStateError(PartElsewhereError(part_directory, directory).detail)
