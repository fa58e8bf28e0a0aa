"""Prober without origins: each probe gets the same answer."""

import asyncio

from downloadd.download_request import DownloadRequest
from downloadd.errors import DownloadError
from downloadd.manager.admission import admit_probe
from downloadd.transfer.probe import ProbeResult

FOUND = ProbeResult(
    redacted_url="https://cdn.example/data.zip",
    redirects=1,
    filename="data.zip",
    size=3_000_000,
    content_type="application/zip",
    has_ranges=True,
    entity_tag='"v1"',
    last_modified=784_111_777,
    checksum=f"sha-256={'0' * 64}",
    is_resumable=True,
    warning=None,
)


class FakeProber:
    """Fake of `UrlProber`.

    Attributes:
        requests: the requests of the probes.
        result: the answer.
        error: raised in place of the answer.
        proceed: set unless probes are held.
        cancelled: number of probes that were cancelled.
    """

    def __init__(self) -> None:
        self.requests: list[DownloadRequest] = []
        self.result = FOUND
        self.error: DownloadError | None = None
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.cancelled = 0

    async def probe(self, request: DownloadRequest) -> ProbeResult:
        admit_probe(request, ())
        self.requests.append(request)
        try:
            await self.proceed.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.result
