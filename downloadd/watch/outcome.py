"""Progress and result of a file of a watch folder, as they are written beside it.

Pure: no I/O and no clock.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from downloadd.import_operation import FileCounts, ImportOperation, ImportState


class Outcome(StrEnum):
    """Outcome of a file; also the name of the directory that it is moved to."""

    DONE = "done"
    """Everything that it names was downloaded."""
    FAILED = "failed"
    """It could not be imported, or a file that it names was not downloaded."""


class FileProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Operations of a file that is being imported."""

    operation: str = ""
    """Id of the import; "" while the file is not stored."""
    runs: tuple[str, ...] = ()
    """Ids of the operations that download the pending files of the import."""
    is_started: bool = False
    """True once all runs are in `runs`."""


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a file."""

    name: str
    outcome: Outcome
    reason: str | None = None
    """Sentence that says why the file was not imported."""
    operation: str | None = None
    """Id of the import."""
    directory: str | None = None
    """Directory of its files, below the storage root; its `manifest.jsonl` has the outcome of each file."""
    total: int = 0
    """Number of files that it names."""
    completed: int = 0
    failed: int = 0
    """Number of files that were not downloaded."""
    skipped: int = 0
    """Number of entries that cannot be imported."""
    ended_at: int
    """Unix time."""


def refused(name: str, reason: str, *, operation: str | None = None, now: float) -> FileResult:
    """Return the result of a file that cannot be imported."""
    return FileResult(name=name, outcome=Outcome.FAILED, reason=reason, operation=operation, ended_at=int(now))


def result_of_runs(
    name: str, operation: ImportOperation, runs: Sequence[ImportOperation], *, directory: str, now: float
) -> FileResult:
    """Return the result of a file whose runs have finished."""
    counts = [run.file_counts for run in runs]
    total, completed = sum(each.total for each in counts), sum(each.completed for each in counts)
    reason = next((run.reason or f"the operation {run.id} was {run.state}" for run in runs if not _is_done(run)), None)
    return FileResult(
        name=name,
        outcome=Outcome.DONE if completed == total and reason is None else Outcome.FAILED,
        reason=reason,
        operation=operation.id,
        directory=directory,
        total=total,
        completed=completed,
        failed=sum(map(_count_failed, counts)),
        skipped=operation.skipped,
        ended_at=int(now),
    )


def _is_done(run: ImportOperation) -> bool:
    return run.state is ImportState.DONE


def _count_failed(counts: FileCounts) -> int:
    return counts.failed + counts.given_up
