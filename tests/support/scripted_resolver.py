"""Resolver whose answers a test gives."""

from collections.abc import Iterator
from itertools import chain, repeat

from downloadd.origin.addresses import family_of
from downloadd.policy.resolver import Address


class ScriptedResolver:
    """Answers the first lookup with the first list of addresses, and so on; the last one for good.

    Attributes:
        lookups: number of lookups.
        closed: True after `close`.
    """

    def __init__(self, *answers: list[str] | OSError) -> None:
        self._answers: Iterator[list[str] | OSError] = chain(answers, repeat(answers[-1]))
        self.lookups = 0
        self.closed = False

    async def look_up(self, host: str) -> list[Address]:
        self.lookups += 1
        answer = next(self._answers)
        if isinstance(answer, OSError):
            raise answer
        return [(family_of(address), address) for address in answer]

    async def close(self) -> None:
        self.closed = True
