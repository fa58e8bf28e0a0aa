"""Files of imports."""

from records.contracts.import_files import ImportFileContract


class TestPostgresImportFile(ImportFileContract):
    """The contract, kept by PostgreSQL."""
