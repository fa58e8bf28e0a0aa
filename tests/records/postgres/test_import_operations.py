"""Import operations."""

from records.contracts.import_operations import ImportOperationContract


class TestPostgresImportOperation(ImportOperationContract):
    """The contract, kept by PostgreSQL."""
