"""Requests to the sources of a download, one source after the other, within the slots of their origins."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from downloadd.download import Download
from downloadd.errors import ORIGIN_ERRORS, DownloadError, ErrorCode
from downloadd.origin.cookies import CookieJar
from downloadd.transfer.classification import Classification, UseResponse, classify
from downloadd.transfer.connection_slots import (
    ConnectionSlots,
    NoTargetSlotError,
    RedirectSlots,
    RequestPath,
    distributed_slots,
)
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import OriginResponse, Session
from downloadd.transfer.sources import Source, order_sources

SOURCE_TIMEOUT: Final = 5.0
"""Seconds that a source has for its response while others were not tried; it is tried again after them."""


class NoSlotError(Exception):
    """The sources with a free slot failed, and the others have no free slot.

    Attributes:
        source: index of a source without a free slot.
        target: the origin without a free slot if the redirects of that source lead to it; else None.
        failure: error of the attempt if it does not wait for that source; None if no other source has failed.
    """

    def __init__(self, source: int, *, target: str | None = None, failure: DownloadError | None = None) -> None:
        super().__init__(f"no slot is free at {target or f'source {source}'}" if failure is None else failure.detail)
        self.source = source
        self.target = target
        self.failure = failure


class SourceRequests:
    """Requests of one attempt to its sources.

    Attributes:
        sources: the sources, the next one to try first.
        errors: reasons why sources were not used, by their redacted URL; empty for a download without mirrors.
        count: number of requests.
        answered_by: the origins that have sent a usable response.
        responding_origin: the origin that responded or failed last, after redirects.
        redirects: the slots at origins that redirects lead to.
    """

    def __init__(
        self,
        download: Download,
        *,
        session: Session,
        cookies: CookieJar,
        slots: ConnectionSlots,
        max_size: int,
    ) -> None:
        """Make the requests of one attempt.

        Args:
            download: the claimed row; the run has a slot of its origin.
            session: the client.
            cookies: those that responses to the download have set.
            slots: slots for other connections.
            max_size: bytes of the representation; 0 for no limit.
        """
        self.sources = order_sources(download, cookies)
        if download.result.error is ErrorCode.CHECKSUM_MISMATCH:
            # One source has wrong bytes: use one at a time, so that they are not mixed with right ones.
            del self.sources[1:]
        self.errors: dict[str, str] = {}
        self.count = 0
        self.answered_by: set[str] = set()
        self.current_url: str | None = None
        self.responding_origin = download.progress.origin
        self._run_origin = download.progress.origin
        self._session = session
        self._seq = download.seq
        self._slots = slots
        self.redirects = RedirectSlots(download.seq, slots)
        self._max_size = max_size
        self._has_mirrors = bool(download.request.mirrors)

    @asynccontextmanager
    async def first_response(
        self, request: RangeRequest, known: Representation
    ) -> AsyncIterator[tuple[Source, OriginResponse, Classification]]:
        """Yield the first usable response of a source; `known` is the representation in the part file.

        Raises:
            DownloadError: no source has one; a transient error is raised in preference to a permanent one.
            NoSlotError: no source with a free slot has one.
        """
        failures: list[tuple[DownloadError, str]] = []
        busy: list[tuple[Source, str | None]] = []
        queue = deque((source, True) for source in self.sources)
        while queue:
            source, is_first_try = queue.popleft()
            async with AsyncExitStack() as stack:
                if not await stack.enter_async_context(self._slot_at(source.origin)):
                    busy.append((source, None))
                    continue
                try:
                    async with asyncio.timeout(SOURCE_TIMEOUT if is_first_try and queue else None):
                        response = await self._respond(stack, source, request)
                    classification = classify(request, known, response.head, max_size=self._max_size)
                    if isinstance(classification, UseResponse):
                        response.content.expected_length = classification.length
                except TimeoutError:
                    queue.append((source, False))
                    continue
                except NoTargetSlotError as error:
                    busy.append((source, error.origin))
                    continue
                except ORIGIN_ERRORS as error:
                    failures.append((error, self.responding_origin))
                    self.record_error(source, error.detail)
                    continue
                # Sources that have just failed are not used for further connections.
                self.sources = [source, *(other for other, _ in (*queue, *busy))]
                self.redirects.leave_unused()
                self.note_answer(response)
                yield source, response, classification
                return
        worst: DownloadError | None = None
        if failures:
            worst, self.responding_origin = next((failure for failure in failures if failure[0].transient), failures[0])
        if busy:
            raise NoSlotError(busy[0][0].index, target=busy[0][1], failure=worst)
        assert worst is not None  # noqa: S101 - narrows the type; each source has failed or has no slot
        raise worst

    def note_answer(self, response: OriginResponse) -> None:
        """Record that a response is usable."""
        self.answered_by.add(response.url.origin)
        self.current_url = response.url.text if response.redirects else None

    def connect(self, source: Source, request: RangeRequest) -> AbstractAsyncContextManager[OriginResponse]:
        """Return the context of a response to a request of a further connection to a source.

        It raises the errors of `Session.get`, and NoTargetSlotError if a redirect leads to an origin without a slot.
        """
        path = RequestPath(source.origin, self.redirects)
        return self._session.get(source.url, request, source.context, enter_origin=path.enter)

    def record_error(self, source: Source, reason: str) -> None:
        """Record why one of several sources was not used."""
        if self._has_mirrors:
            self.errors[source.redacted_url] = reason

    def distributed_slots(self, sources: Sequence[Source], count: int) -> AbstractAsyncContextManager[int]:
        """Return the context of up to `count` slots that are distributed among the sources; it yields their number."""
        return distributed_slots(sources, count, seq=self._seq, slots=self._slots)

    async def _respond(self, stack: AsyncExitStack, source: Source, request: RangeRequest) -> OriginResponse:
        self.count += 1
        path = RequestPath(source.origin, self.redirects)
        try:
            return await stack.enter_async_context(
                self._session.get(source.url, request, source.context, enter_origin=path.enter)
            )
        finally:
            self.responding_origin = path.origin

    @asynccontextmanager
    async def _slot_at(self, origin: str) -> AsyncIterator[bool]:
        """Acquire a slot of an origin; yield False if none is free."""
        if origin == self._run_origin:
            yield True
            return
        slots = await self._slots.acquire(self._seq, origin, 1)
        try:
            yield slots > 0
        finally:
            self._slots.release(self._seq, origin, slots)
