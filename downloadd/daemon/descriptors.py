"""Limit of open files: raise it, and fit the number of downloads and clients to it."""

import resource
from contextlib import suppress
from typing import Final

import structlog
from msgspec.structs import replace

from downloadd.config import Config

_RESERVED_DESCRIPTORS: Final = 32
"""Descriptors of the daemon itself: records, log, event loop, listeners, storage root."""
_DESCRIPTORS_PER_DOWNLOAD: Final = 5
"""Descriptors of a download over one connection: the socket, a pipe for splice, the part file, its directory.
A download does without further connections if no descriptors are left."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one; each connection and part file needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # A sandbox may forbid it, and the kernel may allow less than the hard limit.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_clients() -> int | None:
    """Return the number of connections that clients may have, so that downloads keep theirs; None for no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else max(1, (soft - _RESERVED_DESCRIPTORS) // 2)


def max_runs() -> int | None:
    """Return the number of downloads at once that half of the descriptors allow; None for no limit.

    More downloads would take each other's descriptors, and none would finish. The other half is for clients.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return max(1, (soft - _RESERVED_DESCRIPTORS) // 2 // _DESCRIPTORS_PER_DOWNLOAD)


def fit_to_descriptors(config: Config) -> Config:
    """Return the configuration with at most `max_runs` downloads at once; log a reduction."""
    maximum = max_runs()
    if maximum is None or config.downloads.max_concurrent <= maximum:
        return config
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    structlog.get_logger("downloadd.daemon").warning(
        "descriptor_limit_low", limit=soft, wanted=config.downloads.max_concurrent, max_concurrent=maximum
    )
    return replace(config, downloads=replace(config.downloads, max_concurrent=maximum))
