"""Choice of the store: PostgreSQL if the configuration names a database, else SQLite in the state directory."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from downloadd.clock import Clock
from downloadd.config import Config
from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.errors import StartupError
from downloadd.records.database import StateDirectory
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.store import Store


async def open_store(
    stack: AsyncExitStack,
    config: Config,
    clock: Clock,
    *,
    on_commit: Callable[[int, float], None],
    make_deliveries: Callable[[Download], Sequence[Delivery]],
) -> Store:
    """Open the store that the configuration chooses, with the lock of the state directory; `stack` closes them.

    Raises:
        StartupError: it cannot be used.
    """
    state_dir, database = Path(config.server.state_dir), config.cluster.database
    if not database:
        return await stack.enter_async_context(
            SqliteRecords(state_dir, clock, on_commit=on_commit, make_deliveries=make_deliveries)
        )
    try:
        from downloadd.records.postgres.records import PostgresRecords
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise StartupError(
            "cluster.database needs a driver for PostgreSQL: install it with pip install 'downloadd[cluster]'",
            exit_status=2,
        ) from None
    # Uploads are in it.
    directory = StateDirectory(state_dir)
    await asyncio.to_thread(directory.lock)
    stack.callback(directory.unlock)
    return await stack.enter_async_context(
        PostgresRecords(
            database,
            clock,
            on_commit=on_commit,
            make_deliveries=make_deliveries,
            is_owner=False,
            lease=config.cluster.lease,
        )
    )
