"""Choice of the store."""

from contextlib import AsyncExitStack
from pathlib import Path

from msgspec.structs import replace
from support.app_config import config_for
from support.clocks import ManualClock

from downloadd.config import ClusterConfig, Config
from downloadd.records.store import Store
from downloadd.store_choice import open_store


async def kind_of_store(config: Config) -> str:
    async with AsyncExitStack() as stack:
        store: Store = await open_store(
            stack, config, ManualClock(), on_commit=lambda rows, seconds: None, make_deliveries=lambda download: ()
        )
        assert await store.last_ended_seq() == 0
        return type(store).__name__


async def test_the_configuration_chooses_the_store(tmp_path: Path, database: str) -> None:
    config = config_for(tmp_path)
    with_database = replace(config, cluster=ClusterConfig(database=database))
    # Each one gives the lock of the state directory back.
    for _ in range(2):
        assert await kind_of_store(config) == "SqliteRecords"
        assert await kind_of_store(with_database) == "PostgresRecords"
