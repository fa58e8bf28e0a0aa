"""Client of origins that may connect to this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from support.scripted_resolver import ScriptedResolver

from downloadd.clock import SystemClock
from downloadd.origin.client import OriginClient
from downloadd.policy.addresses import AddressRules

LOOPBACK: Final = AddressRules(["127.0.0.0/8", "::1/128"])


@asynccontextmanager
async def open_client(*answers: list[str], rules: AddressRules = LOOPBACK) -> AsyncIterator[OriginClient]:
    """Open a client; `answers` are the addresses of each lookup in turn, by default that of this machine."""
    resolver = ScriptedResolver(*(answers or (["127.0.0.1"],)))
    async with OriginClient(rules=lambda: rules, resolver=resolver, clock=SystemClock()) as client:
        yield client
