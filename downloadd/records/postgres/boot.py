"""Detection of a restart of the machine, after which unwritten pages of part files may be lost."""

from typing import Final

import asyncpg

_SELECT_BOOT: Final = "SELECT id FROM boot"
_DELETE_BOOT: Final = "DELETE FROM boot"
_INSERT_BOOT: Final = "INSERT INTO boot VALUES ($1)"
_TRUST_STORED_RANGES_ONLY: Final = (
    "UPDATE downloads SET received_ranges = '0-' || received WHERE part_name IS NOT NULL AND received_ranges IS NULL"
)


async def record_boot(connection: asyncpg.Connection, boot: str | None) -> None:
    """Record the current boot; after another one, limit each part file to its last checkpoint.

    Bytes that the kernel had not written before a power loss may be missing, or be zeros in a file of full length.
    """
    recorded = await connection.fetchval(_SELECT_BOOT)
    if recorded is not None and recorded == boot:
        return
    async with connection.transaction():
        await connection.execute(_TRUST_STORED_RANGES_ONLY)
        await connection.execute(_DELETE_BOOT)
        if boot is not None:
            await connection.execute(_INSERT_BOOT, boot)
