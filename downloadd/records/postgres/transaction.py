"""One transaction of the writer: operations, then the numbers of the ends, then the commit.

Locks are taken in one order on every node: downloads by `seq`, then the counter of ends. The counter is raised by the
last statement that changes rows, and stays locked until the commit. Therefore ends become visible in the order of their
numbers: a reader that has read up to a number has missed none before it.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from downloadd.records.postgres.operations import Operation, Outcome, Run, UnnumberedEnds
from downloadd.records.postgres.statements import array_of_texts

_LOCK_DOWNLOADS: Final = (
    "SELECT FROM downloads WHERE id = ANY($1::text[]) OR seq = ANY($2::bigint[]) ORDER BY seq FOR UPDATE"
)
_NUMBER_ENDS: Final = """
WITH raised AS (
    UPDATE counter SET
        removed_at = CASE WHEN $2 THEN ended_seq ELSE removed_at END,
        ended_seq = ended_seq + cardinality($1::bigint[])
    RETURNING ended_seq - cardinality($1::bigint[]) AS last
)
UPDATE downloads SET ended_seq = raised.last + ends.number
FROM raised, unnest($1::bigint[]) WITH ORDINALITY AS ends (seq, number)
WHERE downloads.seq = ends.seq
RETURNING downloads.seq, downloads.ended_seq
"""


class CommitInDoubtError(Exception):
    """The answer to a commit was lost: `cause` is the error, `outcomes` are the results if it took place."""

    def __init__(self, cause: BaseException, outcomes: list[Outcome]) -> None:
        super().__init__()
        self.cause = cause
        self.outcomes = outcomes


async def execute_batch(connection: asyncpg.Connection, batch: Sequence[Operation[Any]]) -> list[Outcome]:
    """Return the results of operations in the transaction of a connection, which is left to be committed."""
    await _lock_downloads(connection, batch)
    outcomes: list[Outcome] = [None] * len(batch)
    for run, numbers in _by_kind(batch).items():
        results = await run(connection, [batch[number].item for number in numbers])
        for number, outcome in zip(numbers, results, strict=True):
            outcomes[number] = outcome
    endings = [outcome for outcome in outcomes if isinstance(outcome, UnnumberedEnds)]
    if not endings:
        return outcomes
    seqs = [seq for ending in endings for seq in ending.seqs]
    ended = dict(await connection.fetch(_NUMBER_ENDS, seqs, any(ending.removes for ending in endings)))
    return [
        await outcome.finish(connection, ended) if isinstance(outcome, UnnumberedEnds) else outcome
        for outcome in outcomes
    ]


async def _lock_downloads(connection: asyncpg.Connection, batch: Sequence[Operation[Any]]) -> None:
    ids = [id for operation in batch for id in operation.ids]
    seqs = [seq for operation in batch for seq in operation.seqs]
    # A single download is locked by its own statement.
    if len(ids) + len(seqs) > 1:
        await connection.execute(_LOCK_DOWNLOADS, array_of_texts(ids), seqs)


def _by_kind(batch: Sequence[Operation[Any]]) -> dict[Run, list[int]]:
    kinds: dict[Run, list[int]] = {}
    for number, operation in enumerate(batch):
        kinds.setdefault(operation.run, []).append(number)
    return kinds
