"""Records of the runs of all nodes in PostgreSQL, and the claim of downloads by this one."""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec
from msgspec.structs import replace

from downloadd.download import Desired, Download
from downloadd.node import NodeReport
from downloadd.records.claims import claim
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.download_queries import DownloadQueries
from downloadd.records.postgres.operations import Outcome
from downloadd.records.postgres.run_statements import IS_RUNNING, SESSION
from downloadd.records.postgres.statements import array_of_texts
from downloadd.records.runs import HeldRun

# The SQL is composed of the names of the states only.
# ruff: noqa: S608
_LAST_RUNS: Final = "SELECT seq, session, boot FROM downloads WHERE seq = ANY($1::bigint[])"
_CLAIM: Final = (
    "UPDATE downloads SET state = $2, epoch = $3, attempt = $4, received_ranges = $5, not_before = NULL, node = $6, "
    "session = $7, boot = $8 WHERE seq = $1"
)
_NODES: Final = f"SELECT id, node FROM downloads WHERE id = ANY($1::text[]) AND node IS NOT NULL AND {IS_RUNNING}"
_HELD: Final = f"SELECT id, seq, epoch, desired FROM downloads WHERE {SESSION} = $1 AND {IS_RUNNING}"
_DESIRED: Final = {desired.value: desired for desired in Desired}
MAX_TAKEOVERS: Final = 100_000
"""Takeovers that are remembered until their runs begin."""


class RunHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The node that claims; all fields are None before it has registered."""

    node: str | None = None
    session: str | None = None
    boot: str | None = None


class Claims:
    """Claims of downloads, as statements of a transaction.

    Attributes:
        holder: the node that claims.
    """

    def __init__(self, queries: DownloadQueries) -> None:
        self.holder = RunHolder()
        self._queries = queries
        self._takeovers: dict[int, None] = {}

    def register(self, report: NodeReport) -> None:
        """Claim from now on as this session of a node."""
        self.holder = RunHolder(node=report.name, session=report.session, boot=report.boot)

    async def claim(self, connection: asyncpg.Connection, items: Sequence[Sequence[int]]) -> Sequence[Outcome]:
        """Assign waiting downloads to runs; see `Records.claim`."""
        seqs = [seq for item in items for seq in item]
        rows = {row.seq: row for row in await self._queries.by_seqs(connection, seqs, for_update=True)}
        results: list[list[Download]] = []
        for item in items:
            # A download that is named twice is claimed once.
            attempts = (claim(rows.pop(seq, None)) for seq in item)
            results.append([download for download in attempts if download is not None])
        last_runs = {seq: last for seq, *last in await connection.fetch(_LAST_RUNS, seqs)}
        holder = self.holder
        results = [[_trusted(row, holder, last_runs[row.seq][1]) for row in claimed] for claimed in results]
        holder_values = msgspec.structs.astuple(holder)
        values = [
            (row.seq, row.state.value, row.epoch, row.progress.attempt, row.progress.received_ranges, *holder_values)
            for claimed in results
            for row in claimed
        ]
        if values:
            await connection.executemany(_CLAIM, values)
        for seq, *_ in values:
            self._note_takeover(seq, last_runs[seq][0])
        return results

    def pop_takeover(self, seq: int) -> bool:
        """See `RunRecords.pop_takeover`."""
        return self._takeovers.pop(seq, False) is None

    def _note_takeover(self, seq: int, session: str | None) -> None:
        self._takeovers.pop(seq, None)
        if session is not None:
            self._takeovers[seq] = None
            if len(self._takeovers) > MAX_TAKEOVERS:
                del self._takeovers[next(iter(self._takeovers))]


class PostgresRuns:
    """`RunRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, claims: Claims) -> None:
        self._access = access
        self._claims = claims

    async def nodes(self, ids: Sequence[str]) -> Mapping[str, str]:
        """See `RunRecords.nodes`."""
        rows = await self._access.read(lambda connection: connection.fetch(_NODES, array_of_texts(ids)))
        return dict(map(tuple, rows))

    async def held(self) -> Sequence[HeldRun]:
        """See `RunRecords.held`."""
        session = self._claims.holder.session or ""
        rows = await self._access.read(lambda connection: connection.fetch(_HELD, session))
        return [HeldRun(id=id, seq=seq, epoch=epoch, desired=_DESIRED[desired]) for id, seq, epoch, desired in rows]

    def pop_takeover(self, seq: int) -> bool:
        """See `RunRecords.pop_takeover`."""
        return self._claims.pop_takeover(seq)


def _trusted(row: Download, holder: RunHolder, boot: str | None) -> Download:
    """Return a claimed row, limited to its last checkpoint if another machine or boot wrote the bytes after it."""
    progress = row.progress
    if progress.part_name is None or progress.received_ranges is not None or boot == holder.boot:
        return row
    return replace(row, progress=replace(progress, received_ranges=f"0-{progress.received}"))
