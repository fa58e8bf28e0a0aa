"""Hook deliveries."""

from records.contracts.deliveries import DeliveryContract


class TestSqliteDeliveries(DeliveryContract):
    """The contract, kept by SQLite."""
