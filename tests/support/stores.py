"""Stores that a test opens, whatever their database."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.records.store import Store

MakeDeliveries = Callable[[Download], Sequence[Delivery]]


def no_deliveries(download: Download) -> Sequence[Delivery]:
    """Return no delivery."""
    return ()


class OpenStore(Protocol):
    """Fixture `open_store` of an implementation, which the contracts use."""

    def __call__(self, make_deliveries: MakeDeliveries = no_deliveries) -> AbstractAsyncContextManager[Store]:
        """Return the store of the test, empty before its first opening, with the clock of the fixture `clock`.

        One that is opened again has all that was durable; at most one is open at a time.
        """
        ...
