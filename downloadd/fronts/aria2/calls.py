"""Calls of methods and their outcomes: what the wire formats and the methods exchange."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from downloadd.fronts.aria2.errors import RpcError
from downloadd.users import User


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Call of a method."""

    method: str
    params: list[Any] = []
    """The parameters, with the token in front of them if there is one."""

    def __repr__(self) -> str:
        """Return the name of the method only, so that no log or traceback shows a token."""
        return f"{type(self).__name__}(method={self.method!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the name of the method only."""
        return [("method", self.method)]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Result or error of a call."""

    result: Any = None
    """Texts, integers, lists and structs. In that of `system.multicall`, an `RpcError` stands for a call that
    failed: each wire format has a struct of its own for it."""
    error: RpcError | None = None
    user: User | None = None
    """The user whose token the call, or one within it, carried."""


class RpcMethods(Protocol):
    """The methods, as the wire formats call them."""

    async def call_all(self, calls: Sequence[Call], *, request_id: str | None) -> list[Outcome]:
        """Perform calls in order and return the outcome of each; never raises an error of a call."""
        ...
