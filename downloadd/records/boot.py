"""Detection of a restart of the machine, after which unwritten pages of part files may be lost."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

_BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_SELECT_BOOT: Final = "SELECT id FROM boot"
_DELETE_BOOT: Final = "DELETE FROM boot"
_INSERT_BOOT: Final = "INSERT INTO boot VALUES (?)"
# One statement for active and one for ended downloads: each uses an index.
_TRUST_STORED_RANGES_ONLY: Final = tuple(
    "UPDATE downloads SET received_ranges = '0-' || received "  # noqa: S608 - two constants
    f"WHERE ended_seq IS {condition} AND part_name IS NOT NULL AND received_ranges IS NULL"
    for condition in ("NULL", "NOT NULL")
)


def boot_id() -> str | None:
    """Return the kernel's id of the current boot; None if it has none."""
    with suppress(OSError):
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip() or None
    return None


def record_boot(connection: sqlite3.Connection, boot: str | None) -> None:
    """Record the current boot; after another one, limit each part file to its last checkpoint.

    Bytes that the kernel had not written before a power loss may be missing, or be zeros in a file of full length.
    """
    row = connection.execute(_SELECT_BOOT).fetchone()
    if row is not None and row[0] == boot:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TRUST_STORED_RANGES_ONLY:
            connection.execute(statement)
        connection.execute(_DELETE_BOOT)
        if boot is not None:
            connection.execute(_INSERT_BOOT, (boot,))
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
