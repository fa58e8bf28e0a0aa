"""Calls of methods and their outcomes: what the wire formats and the methods exchange."""

from collections.abc import Mapping, Sequence
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


class EncodedList:
    """List of structs that is encoded as JSON already.

    Attributes:
        json: the list.
        nbytes: its length in bytes.
    """

    __slots__ = ("_count", "json", "nbytes")

    def __init__(self, structs: Sequence[Mapping[str, Any]]) -> None:
        """Encode the structs."""
        encoded = msgspec.json.encode(structs)
        self._count = len(structs)
        self.json = msgspec.Raw(encoded)
        self.nbytes = len(encoded)

    def __len__(self) -> int:
        return self._count

    def decode(self) -> list[dict[str, Any]]:
        """Return the structs."""
        return msgspec.json.decode(self.json, type=list[dict[str, Any]])


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Result or error of a call."""

    result: Any = None
    """Texts, integers, lists and structs; an `EncodedList` stands for a list. In the result of `system.multicall`, an
    `RpcError` stands for a call that failed: each wire format has a struct of its own for it."""
    error: RpcError | None = None
    user: User | None = None
    """The user whose token the call, or one within it, carried."""


class RpcMethods(Protocol):
    """The methods, as the wire formats call them."""

    async def call_all(self, calls: Sequence[Call], *, request_id: str | None) -> list[Outcome]:
        """Perform calls in order and return the outcome of each; never raises an error of a call."""
        ...
