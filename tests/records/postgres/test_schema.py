"""Migrations, and the versions that work with a database."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from support.clocks import ManualClock
from support.postgres_server import PostgresServer

from downloadd.errors import StartupError
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.postgres.schema import Migration, migrate, shipped_migrations

FIRST = Migration(version=1, sql="CREATE TABLE one (n int)")
SECOND = Migration(version=2, sql="ALTER TABLE one ADD COLUMN m int")
THIRD = Migration(version=3, sql="ALTER TABLE one DROP COLUMN n", least=2)


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Return the name of the database that these tests use one after the other."""
    return []


@pytest.fixture
async def empty(postgres_server: PostgresServer, names: list[str]) -> str:
    """Return the URL of a database without tables."""
    if not names:
        names.append(await postgres_server.create_database())
    await postgres_server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", database=names[0])
    return postgres_server.socket_url(names[0])


async def apply(url: str, *migrations: Migration) -> tuple[int, int]:
    """Apply the migrations, and return version and least version."""
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection, migrations, "d")
        version, least = await connection.fetchrow("SELECT version, least FROM schema")
        return version, least
    finally:
        await connection.close()


def test_the_migrations_are_numbered_without_gap() -> None:
    assert [each.version for each in shipped_migrations()] == list(range(1, len(shipped_migrations()) + 1))


async def test_a_database_is_brought_up_to_date_by_what_it_lacks(empty: str) -> None:
    assert await apply(empty, FIRST) == (1, 1)
    assert await apply(empty, FIRST, SECOND) == (2, 1)
    # One that is upgraded later still works with it.
    assert await apply(empty, FIRST) == (2, 1)
    assert await apply(empty, FIRST, SECOND, THIRD) == (3, 2)
    assert await apply(empty, FIRST, SECOND) == (3, 2)
    with pytest.raises(StartupError, match=r"it needs version 2 of the records, this one knows up to 1"):
        await apply(empty, FIRST)


async def test_a_migration_that_fails_changes_nothing(empty: str) -> None:
    broken = Migration(version=2, sql="CREATE TABLE two (n int); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await apply(empty, FIRST, broken)
    assert await apply(empty, FIRST, SECOND) == (2, 1)


async def test_several_daemons_migrate_once(empty: str) -> None:
    results: Sequence[tuple[int, int]] = await asyncio.gather(*(apply(empty, FIRST, SECOND) for _ in range(4)))
    assert set(results) == {(2, 1)}


async def test_a_database_of_another_program_is_refused_and_not_changed(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    try:
        await connection.execute("CREATE TABLE customers ()")
        with pytest.raises(StartupError, match="has tables of another program"):
            async with PostgresRecords(empty, ManualClock()):
                pass
        assert await connection.fetchval("SELECT to_regclass('public.schema')") is None
    finally:
        await connection.close()
