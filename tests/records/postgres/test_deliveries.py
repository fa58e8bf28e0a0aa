"""Hook deliveries."""

from records.contracts.deliveries import DeliveryContract


class TestPostgresDelivery(DeliveryContract):
    """The contract, kept by PostgreSQL."""
