"""Open files: as many as the system allows, and no more downloads at once than they are enough for."""

import resource
from contextlib import suppress
from typing import Final

import structlog
from msgspec.structs import replace

from downloadd.config import Config

_RESERVED_DESCRIPTORS: Final = 32
"""Descriptors of the daemon itself: records, log, event loop, listeners, the root."""
_DESCRIPTORS_PER_DOWNLOAD: Final = 6
"""Those of a download over one connection: that one, once more for the kernel to read from, a pipe, the part, a
directory. Further connections are done without when there are none left."""


def raise_descriptor_limit() -> None:
    """Allows as many open files as the system does: every connection and part file is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # A sandbox may forbid it, and a hard limit may be higher than what the kernel allows by now.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_clients() -> int | None:
    """How many connections clients may have, so that downloads keep theirs; None for any number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else max(1, (soft - _RESERVED_DESCRIPTORS) // 2)


def fit_to_descriptors(config: Config) -> Config:
    """The configuration, with no more downloads at once than half of the descriptors are enough for.

    More would take each other's, and none get on; the other half is for clients. Says so in the log.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return config
    maximum = max(1, (soft - _RESERVED_DESCRIPTORS) // 2 // _DESCRIPTORS_PER_DOWNLOAD)
    if config.downloads.max_concurrent <= maximum:
        return config
    structlog.get_logger("downloadd.daemon").warning(
        "descriptor_limit_low", limit=soft, wanted=config.downloads.max_concurrent, max_concurrent=maximum
    )
    return replace(config, downloads=replace(config.downloads, max_concurrent=maximum))
