"""Schema of the database: migrations, and the versions that work with it.

The table `schema` has one row: the `version` of the newest migration, and `least`, the version of the records that a
daemon must know at least. A daemon works with a newer version whose `least` it reaches, so that nodes can be upgraded
one after the other.
"""

import re
from collections.abc import Sequence
from importlib import resources
from typing import Final

import asyncpg
import msgspec

from downloadd.errors import StartupError

MIGRATION_LOCK: Final = 7_163_804_101
"""Key of the advisory lock under which migrations are applied."""
_MIGRATION_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")
_LEAST: Final = re.compile(r"^-- least: (\d+)$", re.MULTILINE)
_CREATE: Final = "CREATE TABLE IF NOT EXISTS schema (version bigint NOT NULL, least bigint NOT NULL)"
_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema' LIMIT 1"


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """SQL that changes a database of `version - 1` to `version`."""

    version: int
    sql: str
    least: int | None = None
    """The oldest version of the records that still works with the result, if it changes; a line `-- least: N`."""


def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations of the package in order, numbered 1, 2, 3 and so on."""
    migrations = []
    for file in resources.files("downloadd.records.postgres").joinpath("migrations").iterdir():
        match = _MIGRATION_NAME.fullmatch(file.name)
        if match:
            sql = file.read_text(encoding="utf-8")
            least = _LEAST.search(sql)
            migrations.append(Migration(version=int(match[1]), sql=sql, least=int(least[1]) if least else None))
    return tuple(sorted(migrations, key=lambda migration: migration.version))


async def migrate(connection: asyncpg.Connection, migrations: Sequence[Migration], label: str) -> None:
    """Apply the migrations that a database lacks, all in one transaction, while other daemons wait.

    Args:
        connection: to the database.
        migrations: those of this version, in order.
        label: names the database in messages.

    Raises:
        StartupError: the database needs a newer daemon, or has tables of another program; it is not changed.
    """
    latest = migrations[-1].version
    async with connection.transaction():
        # Another daemon may take long to migrate.
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        row = None
        if await connection.fetchval("SELECT to_regclass('public.schema') IS NOT NULL"):
            row = await connection.fetchrow("SELECT version, least FROM schema")
        version, least = (0, 1) if row is None else row
        if row is None and await connection.fetchval(_TABLES) is not None:
            raise StartupError(
                f"the database {label} has tables of another program; create one for downloadd alone, with `createdb`"
            )
        if least > latest:
            raise StartupError(
                f"the database {label} was changed by a newer downloadd (it needs version {least} of the records, this "
                f"one knows up to {latest}); start the newer one"
            )
        if version >= latest:
            return
        await connection.execute(_CREATE)
        for migration in migrations:
            if migration.version > version:
                await connection.execute(migration.sql)
                least = migration.least or least
        await connection.execute("DELETE FROM schema")
        await connection.execute("INSERT INTO schema VALUES ($1, $2)", latest, least)
