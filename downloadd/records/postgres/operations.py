"""Operations that the writer runs in transactions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import asyncpg
import msgspec

from downloadd.records.writer import Ending, Rejection

T = TypeVar("T")

Outcome = Any
"""Result of an operation: its value, a `Rejection`, an `Ending` with a value, or `UnnumberedEnds` that become one."""
Run = Callable[[asyncpg.Connection, Sequence[Any]], Awaitable[Sequence[Outcome]]]
"""Runs operations of one kind in a transaction, given an item for each; returns an outcome for each."""

NO_NAMES: Final[frozenset[str]] = frozenset()


class UnnumberedEnds(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of an operation that ends downloads or removes ended ones, before the ends have their numbers."""

    seqs: Sequence[int] = ()
    """Downloads that have ended, in the order of their ends."""
    removes: bool = False
    """True if downloads were removed from the history."""
    finish: Callable[[asyncpg.Connection, Mapping[int, int]], Awaitable[Outcome]]
    """Returns the outcome, given the `ended_seq` by `seq`; may insert rows, and changes none."""


class Operation(Generic[T]):
    """An operation, with the future of its caller.

    Attributes:
        run: runs the operation, together with others of the same `run` in one call.
        item: the argument for `run`.
        rows: approximate number of rows that it writes.
        ids: the downloads that it changes; no other operation of its transaction changes them.
        seqs: further downloads that it changes.
        is_alone: True if it changes downloads that it does not name, so that it has a transaction of its own.
        changes_lists: False if it leaves the waiting list and the ended downloads as they are.
        future: of the caller.
    """

    __slots__ = ("changes_lists", "future", "ids", "is_alone", "item", "rows", "run", "seqs")

    def __init__(
        self,
        run: Run,
        item: Any,
        future: asyncio.Future[T],
        *,
        rows: int = 1,
        ids: frozenset[str] = NO_NAMES,
        seqs: Sequence[int] = (),
        is_alone: bool = False,
        changes_lists: bool = True,
    ) -> None:
        self.run = run
        self.item = item
        self.future = future
        self.rows = rows
        self.ids = ids
        self.seqs = seqs
        self.is_alone = is_alone
        self.changes_lists = changes_lists

    def resolve(self, outcome: Outcome) -> None:
        """Give the caller the result, if it still waits."""
        if self.future.done():
            return
        match outcome:
            case Rejection(error):
                self.future.set_exception(error)
            case Ending(result, _):
                self.future.set_result(result)
            case _:
                self.future.set_result(outcome)

    def refuse(self, error: Exception) -> None:
        """Raise an error in the task of the caller."""
        self.resolve(Rejection(error))


class OperationQueue:
    """Operations that wait for a transaction. The queue needs no bound: each caller waits for its operation."""

    def __init__(self) -> None:
        self._waiting: list[Operation[Any]] = []
        self._changed = asyncio.Event()

    def put(self, operation: Operation[Any]) -> None:
        """Add an operation."""
        self._waiting.append(operation)
        self._changed.set()

    def wake(self) -> None:
        """End the present `wait`."""
        self._changed.set()

    async def wait(self, seconds: float | None) -> None:
        """Wait until there is an operation, `wake` is called or the time is over."""
        if not self._waiting:
            self._changed.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return

    def take(self, max_rows: int) -> list[Operation[Any]]:
        """Return the next operations that can share a transaction of about `max_rows` rows, in their order."""
        batch: list[Operation[Any]] = []
        rows = 0
        named: set[str] = set()
        for operation in self._waiting:
            if batch and (operation.is_alone or batch[0].is_alone or rows >= max_rows or operation.ids & named):
                break
            batch.append(operation)
            rows += operation.rows
            named |= operation.ids
        del self._waiting[: len(batch)]
        return batch

    def take_all(self) -> list[Operation[Any]]:
        """Return all operations."""
        operations, self._waiting = self._waiting, []
        return operations
