"""Where one download can be fetched from: its URL, and the mirrors of it.

Pure: no I/O and no clock.
"""

from collections.abc import Callable, Sequence

from downloadd.download import Download
from downloadd.policy.redaction import redact_url
from downloadd.policy.url import parse_url


class Source:
    """One place where the file can be had.

    Attributes:
        url: as given, secrets included.
        redacted_url: the URL without credentials.
        index: 0 for the download's URL, then the mirrors.
        host: the host that `max_per_host` counts.
        slots: connections that it may have.
        connections: connections that it has.
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
        """Connections that it may have besides those that it has."""
        return max(0, self.slots - self.connections)


def order_sources(download: Download) -> list[Source]:
    """The sources of a download, the one to ask first at the head."""
    mirrors = [Source(index, one.url, one.host) for index, one in enumerate(download.request.mirrors, start=1)]
    sources = [Source(0, download.request.url, _host(download, 0)), *mirrors]
    return sources[download.progress.source :] + sources[: download.progress.source]


def select_source(download: Download, index: int) -> Download:
    """The download, to ask the source of this index first from now on; behind the last one comes the first again."""
    turn = index % (1 + len(download.request.mirrors))
    return (
        download
        if turn == download.progress.source
        else download.with_progress(source=turn, host=_host(download, turn))
    )


def _host(download: Download, index: int) -> str:
    if index == download.progress.source:
        return download.progress.host
    return download.request.mirrors[index - 1].host if index else parse_url(download.request.url).host


def distribute_slots(
    sources: Sequence[Source], count: int, acquire: Callable[[str, int], int]
) -> list[tuple[str, int]]:
    """Gives sources their slots, `count` in all if there are as many; each has one before any has two.

    The first place of the first source is the run's own.

    Args:
        sources: in the order of preference.
        count: slots in all.
        acquire: takes up to so many slots of a host.

    Returns:
        What was acquired, to be given back: hosts and slots.
    """
    acquired: list[tuple[str, int]] = []
    for source in sources:
        source.slots = 0
    sources[0].slots = 1
    given = 1
    line = [*sources[1:], sources[0]]
    while line and given < count:
        source = line.pop(0)
        if acquire(source.host, 1):
            acquired.append((source.host, 1))
            source.slots += 1
            given += 1
            line.append(source)
    return acquired
