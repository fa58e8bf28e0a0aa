"""Parts of statements, derived from the table of columns."""

import re

import asyncpg
from records.contract import sample_download
from support.clocks import ManualClock

from downloadd.records.columns import COLUMNS
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.postgres.statements import (
    FOLDED,
    array_of_texts,
    arrays,
    assignments,
    fold,
    is_nullable,
    names,
    sql_type,
    transpose,
)

_BY_NAME = {column.name: column for column in COLUMNS}


async def test_the_table_has_the_columns_with_the_types_of_their_fields(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:

        async def read(connection: asyncpg.Connection) -> list[tuple[str, str, str]]:
            sql = (
                "SELECT column_name::text, data_type::text, is_nullable::text FROM information_schema.columns "
                "WHERE table_name = 'downloads'"
            )
            return [tuple(row) for row in await connection.fetch(sql)]

        found = await records.read(read)
    expected = {(each.name, sql_type(each), "YES" if is_nullable(each) else "NO") for each in COLUMNS}
    own = {(name, "text", "YES") for name in (FOLDED, "node", "session", "boot")} | {
        ("target", "text", "NO"),
        ("released", "double precision", "NO"),
    }
    assert set(found) == expected | own


def test_names_are_quoted() -> None:
    assert names((_BY_NAME["user"], _BY_NAME["id"])) == '"user", "id"'
    assert assignments((_BY_NAME["user"], _BY_NAME["id"]), 3) == '"user" = $3, "id" = $4'


def test_rows_become_arrays() -> None:
    assert arrays(("text", "bigint"), 2) == "unnest($2::text[], $3::bigint[])"
    assert transpose([("a\0", 1), (None, 2)], ("text", "bigint")) == [array_of_texts(["a\0", None]), (1, 2)]


def test_the_text_for_searches_is_in_lower_case() -> None:
    folded = fold(sample_download("https://example.com/Ä", filename="B"))
    assert re.fullmatch("https://example.com/ä.b", folded, re.DOTALL)
