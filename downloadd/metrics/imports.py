"""Metrics of import operations."""

from downloadd.import_operation import FINISHED_STATUSES, ImportKind, ImportOperation
from downloadd.metrics.series import Series


class ImportMetrics:
    """Counter of finished import operations."""

    def __init__(self, series: Series) -> None:
        self._ended = series.labelled_counter(
            "downloadd_imports_ended", "Finished import operations by importer and outcome.", ("importer", "outcome")
        )
        # A series that exists from the start shows its first increase.
        for kind in ImportKind:
            self._ended[kind, "done"].inc(0)

    def status_changed(self, operation: ImportOperation) -> None:
        """Count the operation if its new status is a finished one."""
        if operation.status in FINISHED_STATUSES:
            outcome = operation.status.removeprefix("importer_").removeprefix("import_")
            self._ended[operation.kind, outcome].inc()
