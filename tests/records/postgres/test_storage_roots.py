"""Record of the storage root."""

from records.contracts.storage_root import StorageRootContract


class TestPostgresStorageRoot(StorageRootContract):
    """The contract, kept by PostgreSQL."""
