"""Records of uploads to object storage."""

from records.contracts.object_uploads import UploadContract


class TestSqliteUploads(UploadContract):
    """The contract, kept by SQLite."""
