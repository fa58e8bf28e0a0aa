"""Resolver whose answers a test gives."""

import socket
from collections.abc import Iterator
from itertools import chain, repeat

from aiohttp.abc import AbstractResolver, ResolveResult

from downloadd.origin.addresses import family_of


class ScriptedResolver(AbstractResolver):
    """Answers the first lookup with the first list of addresses, and so on; the last one for good.

    Attributes:
        lookups: number of lookups.
        closed: True after `close`.
    """

    def __init__(self, *answers: list[str] | OSError) -> None:
        self._answers: Iterator[list[str] | OSError] = chain(answers, repeat(answers[-1]))
        self.lookups = 0
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.lookups += 1
        answer = next(self._answers)
        if isinstance(answer, OSError):
            raise answer
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=family_of(address),
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answer
        ]

    async def close(self) -> None:
        self.closed = True
