"""Settings that nodes have in common."""

from msgspec.structs import replace

from downloadd.cluster.shared_settings import shared_settings
from downloadd.config import ClusterConfig, Config, DirectoryConfig, RemoteStorageConfig
from downloadd.runtime_settings import RuntimeSettings

LIMITS = RuntimeSettings(max_concurrent=5, max_per_host=4, speed_limit=0)


def test_limits_that_hold_now_are_compared() -> None:
    settings = shared_settings(Config(), LIMITS)
    assert settings["max_per_host"] == "4"
    assert settings == shared_settings(Config(), replace(LIMITS, max_concurrent=9))
    assert settings != shared_settings(Config(), replace(LIMITS, speed_limit=9))


def test_places_of_object_storages_are_compared_without_their_credentials() -> None:
    storage = RemoteStorageConfig(path="a", url="s3://bucket")
    settings = shared_settings(Config(storages=(storage,)), LIMITS)
    assert settings["storages"] != shared_settings(Config(), LIMITS)["storages"]
    assert settings == shared_settings(Config(storages=(replace(storage, secret_access_key="b"),)), LIMITS)


def test_lease_and_directories_are_compared() -> None:
    before = shared_settings(Config(), LIMITS)
    config = Config(cluster=ClusterConfig(lease=20.0), directories=(DirectoryConfig(path="a", users=("bob",)),))
    after = shared_settings(config, LIMITS)
    assert {name for name in after if after[name] != before[name]} == {"lease", "directories"}
