"""Schema of the database: migrations, and the comparison of a database with them."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib import resources
from typing import Final

import msgspec

_MIGRATION_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """SQL that changes a database of `version - 1` to `version`."""

    version: int
    sql: str


def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations of the package in order, numbered 1, 2, 3 and so on."""
    migrations = []
    for file in resources.files("downloadd.records").joinpath("migrations").iterdir():
        match = _MIGRATION_NAME.fullmatch(file.name)
        if match:
            migrations.append(Migration(version=int(match[1]), sql=file.read_text(encoding="utf-8")))
    return tuple(sorted(migrations, key=lambda migration: migration.version))


def latest_version(migrations: Sequence[Migration]) -> int:
    """Return the version that the migrations lead to; 0 if there are none."""
    return max((migration.version for migration in migrations), default=0)


def read_version(connection: sqlite3.Connection) -> int:
    """Return the version of a database; 0 if no migration was ever applied."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def apply_migrations(connection: sqlite3.Connection, migrations: Sequence[Migration], version: int) -> None:
    """Apply the migrations that a database of `version` lacks, each in a transaction of its own."""
    for migration in migrations:
        if migration.version > version:
            # The script begins its transaction itself, because `executescript` commits an open one.
            try:
                connection.executescript(
                    f"BEGIN IMMEDIATE;\n{migration.sql}\nPRAGMA user_version = {migration.version};\nCOMMIT;"
                )
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def missing_objects(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> list[str]:
    """Return what these migrations create and the database lacks, such as `column priority of downloads`."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        apply_migrations(model, migrations, 0)
        return sorted(_describe(model) - _describe(connection))


def _describe(connection: sqlite3.Connection) -> set[str]:
    """Return a description of each table, column and index."""
    descriptions = set()
    for kind, name in connection.execute(
        "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite%'"
    ).fetchall():
        columns = [
            str(column)
            for (column,) in connection.execute(f"SELECT name FROM pragma_{kind}_info(?)", (name,))  # noqa: S608 - table or index
        ]
        if kind == "index":
            descriptions.add(f"index {name} of {', '.join(columns)}")
        else:
            descriptions |= {f"table {name}", *(f"column {column} of {name}" for column in columns)}
    return descriptions
