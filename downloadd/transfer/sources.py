"""Sources of one download: its URL and its mirrors.

Pure: no I/O and no clock.
"""

from downloadd.download import Download
from downloadd.origin.context import RequestContext
from downloadd.origin.cookies import CookieJar
from downloadd.policy.redaction import redact_url
from downloadd.policy.url import parse_url
from downloadd.request_fields import RequestFields


class Source:
    """URL of a download or one of its mirrors.

    Attributes:
        url: the URL as given, including secrets.
        redacted_url: the URL without credentials.
        context: its request fields, and the cookies of the download; a mirror at another origin than that of the URL
            gets no fields that are secrets.
        index: 0 for the download's URL, then the mirrors.
        origin: the origin whose slots its connections take.
        slots: maximum number of connections.
        connections: current number of connections.
    """

    __slots__ = ("connections", "context", "index", "origin", "redacted_url", "slots", "url")

    def __init__(self, index: int, url: str, origin: str, context: RequestContext | None = None) -> None:
        self.index = index
        self.url = url
        self.redacted_url = redact_url(url)
        self.origin = origin
        self.context = context
        self.slots = 0
        self.connections = 0

    @property
    def free_slots(self) -> int:
        """Connections that may be opened now."""
        return max(0, self.slots - self.connections)


def order_sources(download: Download, cookies: CookieJar) -> list[Source]:
    """Return the sources of a download, beginning with the preferred one; `cookies` is a jar for all of them."""
    urls = (download.request.url, *(mirror.url for mirror in download.request.mirrors))
    sources = [
        Source(
            index,
            url,
            _origin(download, index),
            RequestContext(fields=_fields(download, index), cookies=cookies, options=download.request.limits),
        )
        for index, url in enumerate(urls)
    ]
    return sources[download.progress.source :] + sources[: download.progress.source]


def select_source(download: Download, index: int) -> Download:
    """Return the download with the source of this index as the preferred one; the index wraps around."""
    selected = index % (1 + len(download.request.mirrors))
    return (
        download
        if selected == download.progress.source
        else download.with_progress(source=selected, origin=_origin(download, selected))
    )


def is_elsewhere(download: Download, source: Source, final_url_digest: str | None) -> bool:
    """Return True if redirects led to another resource than before; then the end of the part file must match.

    An entity tag does not identify other resources (RFC 9110, section 8.8.3), but those that a redirect selects are
    usually copies. Mirrors are copies because the user has said so.
    """
    progress = download.progress
    return source.index == progress.source and final_url_digest != progress.final_url_digest


def _origin(download: Download, index: int) -> str:
    if index == download.progress.source:
        return download.progress.origin
    return parse_url(download.request.mirrors[index - 1].url if index else download.request.url).origin


def _fields(download: Download, index: int) -> RequestFields | None:
    fields = download.request.fields
    if fields is None or _origin(download, index) == _origin(download, 0):
        return fields
    return fields.for_other_origin()
