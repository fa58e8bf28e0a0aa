"""Records of uploads to object storage."""

from records.contracts.object_uploads import UploadContract


class TestPostgresUploads(UploadContract):
    """The contract, kept by PostgreSQL."""
