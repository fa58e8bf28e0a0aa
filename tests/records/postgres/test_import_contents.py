"""Content of import files."""

from records.contracts.import_contents import ImportContentContract


class TestPostgresImportContent(ImportContentContract):
    """The contract, kept by PostgreSQL."""
