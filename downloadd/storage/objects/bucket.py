"""One bucket: its requests, made again after failures that pass, and its errors as those of downloads."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import random
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self, TypeVar

import structlog

from downloadd.clock import Clock
from downloadd.config import RemoteStorageConfig
from downloadd.errors import DownloadError
from downloadd.storage.objects.client import ObjectClient, ObjectHead
from downloadd.storage.objects.credentials import CredentialsError, choose_credentials
from downloadd.storage.objects.errors import ObjectStorageError, map_object_error
from downloadd.storage.objects.location import locate

log = structlog.get_logger()

T = TypeVar("T")

RETRY_DELAYS: Final = (0.3, 1.0)
"""Seconds before the further tries of a request, before jitter."""
PAUSE_SECONDS: Final = 3.0
"""Seconds for which a storage that does not answer is not asked again."""


class Bucket:
    """Bucket of an object storage. Use it in `async with`.

    Attributes:
        location: the bucket, the prefix and the server.
        path: the directory whose files are in it.
    """

    def __init__(
        self,
        config: RemoteStorageConfig,
        *,
        clock: Clock,
        environment: Mapping[str, str],
        tls: Callable[[str], SSLContext],
    ) -> None:
        """Make a closed client; see `ObjectStorage`."""
        self.path = config.path
        self.location = locate(config.url, region=config.region, endpoint=config.endpoint)
        self._config = config
        self._clock = clock
        self._environment = environment
        self._client = ObjectClient(self.location, lambda: self._credentials, clock=clock, tls=tls)
        self._away_until = 0.0
        self._away_error: ObjectStorageError | None = None

    async def __aenter__(self) -> Self:
        """Read the credentials.

        Raises:
            CredentialsError: there are none.
        """
        self._credentials = await asyncio.to_thread(choose_credentials, self._config, self._environment)
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    def map_error(self, error: ObjectStorageError) -> DownloadError:
        """Return the error of a download for one of the storage."""
        return map_object_error(error, place=f"the object storage of {self.path} ({self.location.url})")

    async def call(self, run: Callable[[ObjectClient], Awaitable[T]]) -> T:
        """Return the result of requests, which are made again after a failure that passes.

        Raises:
            ObjectStorageError: there is no such object or upload, or a condition is not met.
            DownloadError: any other error.
        """
        if self._away_error is not None and self._clock.monotonic() < self._away_until:
            raise self.map_error(self._away_error)
        for delay in (*RETRY_DELAYS, None):
            try:
                result = await run(self._client)
            except ObjectStorageError as error:
                if error.is_missing_object or error.is_missing_upload or error.is_unmet_condition:
                    self._away_error = None
                    raise
                if delay is None or not error.may_pass:
                    await self._handle_failure(error)
                    raise self.map_error(error) from error
                await asyncio.sleep(delay * (0.5 + random() / 2))  # noqa: S311 - jitter, not a secret
            else:
                self._away_error = None
                return result
        raise AssertionError

    async def head(self, key: str) -> ObjectHead | None:
        """Return what is known of an object; None if there is none."""
        return await self.call(lambda client: client.head(key))

    async def check(self) -> None:
        """Check that the bucket is there and accepts the credentials.

        Raises:
            DownloadError: it is not, or does not.
        """
        # The answer to a GET says which is missing, the bucket or the object; that to a HEAD does not.
        await self.call(lambda client: client.list_objects(self.location.prefix, max_keys=1))

    async def _handle_failure(self, error: ObjectStorageError) -> None:
        if not error.status:
            # Others that wait for it need not wait for the same time limit.
            self._away_error = error
            self._away_until = self._clock.monotonic() + PAUSE_SECONDS
        elif error.is_about_credentials:
            # The file may have new ones meanwhile.
            try:
                self._credentials = await asyncio.to_thread(choose_credentials, self._config, self._environment)
            except CredentialsError as problem:
                log.warning("object_credentials_unreadable", path=self.path, detail=str(problem))
