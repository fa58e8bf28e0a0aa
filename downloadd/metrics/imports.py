"""Metrics of import operations."""

from downloadd.import_operation import FINISHED_STATES, ImportOperation
from downloadd.metrics.series import Series


class ImportMetrics:
    """Counter of finished import operations."""

    def __init__(self, series: Series) -> None:
        self._ended = series.labelled_counter(
            "downloadd_imports_ended", "Finished import operations by importer and outcome.", ("importer", "outcome")
        )

    def register_kind(self, kind: str) -> None:
        """Add the series of a kind of import operation: one that exists from the start shows its first increase."""
        self._ended[kind, "done"].inc(0)

    def state_changed(self, operation: ImportOperation) -> None:
        """Count the operation if its new state is a finished one."""
        if operation.state in FINISHED_STATES:
            self._ended[operation.kind, operation.state.value].inc()
