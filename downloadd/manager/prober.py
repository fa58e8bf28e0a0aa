"""Probes of URLs: what a download would find, asked for before it starts."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

from downloadd.config import DownloadsConfig
from downloadd.download import Request
from downloadd.download_request import DownloadRequest
from downloadd.errors import ProbeTimeoutError
from downloadd.manager.admission import admit_probe
from downloadd.origin.context import RequestContext
from downloadd.transfer.probe import (
    EVERYTHING,
    FIRST_BYTE,
    ProbeResult,
    complete_head,
    describe,
    must_ask_for_everything,
    supports_ranges,
)
from downloadd.transfer.response_head import ResponseHead
from downloadd.transfer.session import OriginResponse, Session

MAX_PROBES: Final = 16
"""Probes at the same time; others wait."""
PROBE_SECONDS: Final = 30.0
"""Seconds that a probe may take, with the time that it waits for others."""


class UrlProber(Protocol):
    """Probes of users, without their rights."""

    async def probe(self, request: DownloadRequest) -> ProbeResult:
        """Return what a download would find; save nothing."""
        ...


class Prober:
    """Probes of URLs by the client of the downloads, a limited number at the same time.

    A probe is one request, or two, beside the slots of its origin: a user waits for it.
    """

    def __init__(
        self,
        session: Session,
        config: Callable[[], DownloadsConfig],
        *,
        proxies: Callable[[], Collection[str]] = frozenset,
        max_probes: int = MAX_PROBES,
        timeout: float = PROBE_SECONDS,
    ) -> None:
        """Make a prober.

        Args:
            session: the client.
            config: returns the present limits.
            proxies: returns the names of the configured proxies.
            max_probes: see `MAX_PROBES`.
            timeout: see `PROBE_SECONDS`.
        """
        self._session = session
        self._config = config
        self._proxies = proxies
        self._timeout = timeout
        self._slots = asyncio.Semaphore(max_probes)

    async def probe(self, request: DownloadRequest) -> ProbeResult:
        """Return what a download of the URL would find.

        Raises:
            InvalidParameterError, InvalidPathError: a parameter cannot be used.
            InvalidUrlError, DomainBlockedError, TooManyRedirectsError: the policy refuses the URL or a redirect.
            RemoteFileNotFoundError, RemoteError, NetworkError: the origin does not have the file, or does not answer.
            FileTooLargeError, UnexpectedContentError: a download would be refused.
            ProbeTimeoutError: the time is over.
        """
        admitted = admit_probe(request, self._proxies())
        has_started = False
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                has_started = True
                return await self._ask(admitted)
        except TimeoutError:
            raise ProbeTimeoutError(self._timeout, has_started=has_started) from None

    async def _ask(self, request: Request) -> ProbeResult:
        context = RequestContext(fields=request.fields, cookies=self._session.make_cookie_jar())
        async with self._session.get(request.url, FIRST_BYTE, context) as response:
            has_ranges = supports_ranges(response.head)
            if not must_ask_for_everything(response.head):
                return self._describe(request, response, complete_head(response.head), has_ranges=has_ranges)
        async with self._session.get(request.url, EVERYTHING, context) as response:
            return self._describe(request, response, response.head, has_ranges=has_ranges)

    def _describe(
        self, request: Request, response: OriginResponse, head: ResponseHead, *, has_ranges: bool
    ) -> ProbeResult:
        config = self._config()
        return describe(
            request,
            head,
            first_url=response.requested_url,
            final_url=response.url,
            redirects=response.redirects,
            has_ranges=has_ranges,
            max_size=config.max_size,
            allows_overlap=config.resume == "evidence",
        )
