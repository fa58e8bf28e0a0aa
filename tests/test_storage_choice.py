"""Choice of the storage."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from ssl import SSLContext

import pytest
from msgspec.structs import replace
from support.app_config import config_for
from support.clocks import ManualClock
from support.exposition import ReadableSeries

from downloadd.config import Config, RemoteStorageConfig
from downloadd.directory_settings import DirectorySettings
from downloadd.errors import StartupError
from downloadd.manager.storage_identity import StorageIdentity
from downloadd.metrics import UploadMetrics
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.reclaim import reclaim_nothing
from downloadd.storage_choice import open_storage

STORAGE = RemoteStorageConfig(path="Archive", url="s3://bucket")


def no_tls(host: str) -> SSLContext:
    raise AssertionError(host)


async def kind_of_storage(config: Config, environment: Mapping[str, str]) -> str:
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(SqliteRecords(config.server.state_dir, ManualClock()))
        identity = await stack.enter_async_context(StorageIdentity(records))
        opened = await open_storage(
            stack,
            config,
            ManualClock(),
            records=records,
            identity=identity,
            metrics=UploadMetrics(ReadableSeries()),
            directory_settings=lambda directory: DirectorySettings(),
            reclaim=reclaim_nothing,
            environment=environment,
            tls=no_tls,
        )
        await opened.destination.check_root()
        return type(opened.destination).__name__


async def test_the_configuration_chooses_the_storage(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    variables = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert await kind_of_storage(config, {}) == "LocalDestination"
    assert await kind_of_storage(replace(config, storages=(STORAGE,)), variables) == "RoutingDestination"


async def test_a_storage_without_credentials_is_not_started(tmp_path: Path) -> None:
    config = replace(config_for(tmp_path), storages=(STORAGE,))
    with pytest.raises(StartupError, match=r"the object storage of Archive \(s3://bucket\) has no credentials"):
        await kind_of_storage(config, {})
