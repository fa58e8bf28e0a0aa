"""Sources of one download: its URL and its mirrors.

Pure: no I/O and no clock.
"""

from collections.abc import Callable, Sequence

from downloadd.download import Download
from downloadd.policy.redaction import redact_url
from downloadd.policy.url import parse_url


class Source:
    """URL of a download or one of its mirrors.

    Attributes:
        url: the URL as given, including secrets.
        redacted_url: the URL without credentials.
        index: 0 for the download's URL, then the mirrors.
        host: the host that `max_per_host` counts.
        slots: maximum number of connections.
        connections: current number of connections.
    """

    __slots__ = ("connections", "host", "index", "redacted_url", "slots", "url")

    def __init__(self, index: int, url: str, host: str) -> None:
        self.index = index
        self.url = url
        self.redacted_url = redact_url(url)
        self.host = host
        self.slots = 0
        self.connections = 0

    @property
    def free_slots(self) -> int:
        """Connections that may be opened now."""
        return max(0, self.slots - self.connections)


def order_sources(download: Download) -> list[Source]:
    """Return the sources of a download, beginning with the preferred one."""
    mirrors = [Source(index, mirror.url, mirror.host) for index, mirror in enumerate(download.request.mirrors, start=1)]
    sources = [Source(0, download.request.url, _host(download, 0)), *mirrors]
    return sources[download.progress.source :] + sources[: download.progress.source]


def select_source(download: Download, index: int) -> Download:
    """Return the download with the source of this index as the preferred one; the index wraps around."""
    selected = index % (1 + len(download.request.mirrors))
    return (
        download
        if selected == download.progress.source
        else download.with_progress(source=selected, host=_host(download, selected))
    )


def _host(download: Download, index: int) -> str:
    if index == download.progress.source:
        return download.progress.host
    return download.request.mirrors[index - 1].host if index else parse_url(download.request.url).host


def distribute_slots(
    sources: Sequence[Source], count: int, acquire: Callable[[str, int], int]
) -> list[tuple[str, int]]:
    """Distribute up to `count` slots among the sources; each gets one before any gets two.

    The first slot of the first source is the one that the run has.

    Args:
        sources: in the order of preference.
        count: slots in all.
        acquire: acquires up to a number of slots of a host and returns their number.

    Returns:
        The acquired hosts and slots, to be released.
    """
    acquired: list[tuple[str, int]] = []
    for source in sources:
        source.slots = 0
    sources[0].slots = 1
    distributed = 1
    candidates = [*sources[1:], sources[0]]
    while candidates and distributed < count:
        source = candidates.pop(0)
        if acquire(source.host, 1):
            acquired.append((source.host, 1))
            source.slots += 1
            distributed += 1
            candidates.append(source)
    return acquired
