"""Records of the content of import files."""

from records.contracts.import_contents import ImportContentContract


class TestSqliteImportContents(ImportContentContract):
    """The contract, kept by SQLite."""
