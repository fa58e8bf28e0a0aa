"""Where one download can be fetched from: its URL, and the mirrors of it.

Pure: no I/O and no clock.
"""

from collections.abc import Callable, Sequence

from downloadd.download import Download
from downloadd.policy.masking import show_url
from downloadd.policy.url import parse_url


class Source:
    """One place where the file can be had.

    Attributes:
        url: as given, secrets included.
        shown_url: the URL without credentials.
        number: 0 for the download's URL, then the mirrors.
        host: the host that `max_per_host` counts.
        places: connections that it may have.
        connections: connections that it has.
    """

    __slots__ = ("connections", "host", "number", "places", "shown_url", "url")

    def __init__(self, number: int, url: str, host: str) -> None:
        self.number = number
        self.url = url
        self.shown_url = show_url(url)
        self.host = host
        self.places = 0
        self.connections = 0

    @property
    def free(self) -> int:
        """Connections that it may have besides those that it has."""
        return max(0, self.places - self.connections)


def sources_of(download: Download) -> list[Source]:
    """The sources of a download, the one to ask first at the head."""
    mirrors = [Source(number, one.url, one.host) for number, one in enumerate(download.request.mirrors, start=1)]
    sources = [Source(0, download.request.url, _host(download, 0)), *mirrors]
    return sources[download.progress.source :] + sources[: download.progress.source]


def turn_to(download: Download, number: int) -> Download:
    """The download, to ask the source of this number first from now on; behind the last one comes the first again."""
    turn = number % (1 + len(download.request.mirrors))
    return (
        download
        if turn == download.progress.source
        else download.with_progress(source=turn, host=_host(download, turn))
    )


def _host(download: Download, number: int) -> str:
    if number == download.progress.source:
        return download.progress.host
    return download.request.mirrors[number - 1].host if number else parse_url(download.request.url).host


def share_out(sources: Sequence[Source], count: int, borrow: Callable[[str, int], int]) -> list[tuple[str, int]]:
    """Gives sources their places, `count` in all if there are as many; each has one before any has two.

    The first place of the first source is the run's own.

    Args:
        sources: in the order of preference.
        count: places in all.
        borrow: takes up to so many places of a host.

    Returns:
        What was borrowed, to be given back: hosts and places.
    """
    borrowed: list[tuple[str, int]] = []
    for source in sources:
        source.places = 0
    sources[0].places = 1
    given = 1
    line = [*sources[1:], sources[0]]
    while line and given < count:
        source = line.pop(0)
        if borrow(source.host, 1):
            borrowed.append((source.host, 1))
            source.places += 1
            given += 1
            line.append(source)
    return borrowed
