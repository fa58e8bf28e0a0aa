"""Writes that are repeated until they succeed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from downloadd.errors import DownloadError
from downloadd.records.availability import once_available

log = structlog.get_logger()

T = TypeVar("T")

STORE_RETRY_SECONDS: Final = 1.0
"""Seconds between two tries of a write that must not be lost."""


async def retry_forever(write: Callable[[], Awaitable[T]], log_event: str, **fields: object) -> T:
    """Return the result of `write`, tried again until it succeeds; log each failure as `log_event`.

    For writes that must not be lost and have no caller to report a failure to. Unavailable records are waited for
    without a log line of `log_event`: the records log that themselves.
    """
    while True:
        try:
            return await once_available(write)
        except DownloadError as error:
            log.error(log_event, error=error.code, detail=error.detail, **fields)
            await asyncio.sleep(STORE_RETRY_SECONDS)
