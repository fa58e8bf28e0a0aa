from downloadd.import_operation import FileCounts, ImportOperation, ImportState
from downloadd.watch.outcome import Outcome, refused, result_of_runs


def make_run(state: ImportState = ImportState.DONE, **counts: int) -> ImportOperation:
    return ImportOperation(
        id="run", kind="pending-files", user="watch", started_at=0, updated_at=0, state=state,
        file_counts=FileCounts(**counts),
    )  # fmt: skip


OPERATION = ImportOperation(id="import", kind="urls", user="watch", started_at=0, updated_at=0, skipped=3)


def test_a_file_is_done_when_all_of_its_files_are_completed() -> None:
    result = result_of_runs(
        "a.txt", OPERATION, [make_run(total=2, completed=2), make_run(total=1, completed=1)], directory="d", now=5.5
    )
    assert (result.outcome, result.total, result.completed, result.failed, result.skipped) == (Outcome.DONE, 3, 3, 0, 3)
    assert (result.operation, result.directory, result.ended_at, result.reason) == ("import", "d", 5, None)


def test_a_file_has_failed_if_one_of_its_files_was_not_downloaded() -> None:
    run = make_run(total=3, completed=1, failed=1, given_up=1)
    result = result_of_runs("a.txt", OPERATION, [run], directory="d", now=0)
    assert (result.outcome, result.completed, result.failed) == (Outcome.FAILED, 1, 2)


def test_a_run_that_was_cancelled_is_the_reason() -> None:
    run = make_run(ImportState.CANCELLED, total=1)
    result = result_of_runs("a.txt", OPERATION, [run], directory="d", now=0)
    assert result.outcome is Outcome.FAILED
    assert result.reason == "the operation run was cancelled"


def test_an_import_without_files_is_done() -> None:
    assert result_of_runs("a.txt", OPERATION, [], directory="d", now=0).outcome is Outcome.DONE


def test_a_refusal_is_a_failure_with_its_reason() -> None:
    result = refused("a.txt", "not a list", now=1)
    assert (result.outcome, result.reason, result.operation) == (Outcome.FAILED, "not a list", None)
