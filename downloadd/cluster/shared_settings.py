"""Settings that hold for all nodes together, and that all nodes should therefore have in common.

Pure: no I/O and no clock.
"""

from hashlib import sha256

import msgspec

from downloadd.config import Config
from downloadd.runtime_settings import RuntimeSettings


def shared_settings(config: Config, limits: RuntimeSettings) -> dict[str, str]:
    """Return the values to compare, by name; `limits` are those that hold now."""
    return {
        "lease": f"{config.cluster.lease:g}",
        "max_per_host": str(limits.max_per_host),
        "max_queued": str(config.downloads.max_queued),
        "speed_limit": str(limits.speed_limit),
        "min_free": str(config.storage.min_free),
        "directories": sha256(msgspec.json.encode(config.directories)).hexdigest()[:16],
        "storages": sha256(msgspec.json.encode([(each.path, each.url) for each in config.storages])).hexdigest()[:16],
    }
