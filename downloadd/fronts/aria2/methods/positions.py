"""Methods that change the place of a download in the queue, and its URIs."""

from collections.abc import Sequence
from typing import Final

from downloadd.download import Download
from downloadd.download_request import MAX_SOURCES
from downloadd.errors import InvalidStateError
from downloadd.fronts.aria2.errors import ErrorText, make_error
from downloadd.fronts.aria2.methods.context import Context
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.manager.protocol import DownloadChange
from downloadd.policy.url import has_http_scheme
from downloadd.queue_move import QueueMove, QueueOrigin
from downloadd.states import FINISHED

ORIGINS: Final = {
    "POS_SET": QueueOrigin.START,
    "POS_CUR": QueueOrigin.CURRENT,
    "POS_END": QueueOrigin.END,
}
"""Place that a position counts from, by its name."""


async def change_position(context: Context, parameters: Parameters) -> int:
    """Move a waiting or paused download in the queue; return its new index."""
    gid, offset, how = parameters.text(0), parameters.integer(1), parameters.text(2)
    download = (await context.find(gid)).download
    if how not in ORIGINS:
        raise make_error(ErrorText.ILLEGAL_ARGUMENT)
    try:
        return await context.services.service.move(
            context.user, download.id, QueueMove(offset=offset, origin=ORIGINS[how])
        )
    except InvalidStateError:
        raise make_error(ErrorText.NOT_IN_QUEUE, gid=download.gid) from None


async def change_uri(context: Context, parameters: Parameters) -> list[int]:
    """Remove and add URIs of a download; return how many of each."""
    gid, file_index = parameters.text(0), parameters.integer(1, minimum=1)
    removed, added = parameters.texts(2), parameters.texts(3)
    position = parameters.optional_integer(4)
    download = (await context.find(gid)).download
    if download.state in FINISHED:
        raise make_error(ErrorText.CANNOT_REMOVE_URIS, gid=download.gid)
    if file_index > 1:
        raise make_error(ErrorText.FILE_INDEX_OUT_OF_RANGE)
    if position is not None and position < 0:
        raise make_error(ErrorText.NEGATIVE_POSITION)
    before = urls_of(download)
    kept = remove_each(before, removed)
    after = insert_urls(kept, added, position)
    if not after:
        raise make_error(
            ErrorText.CANNOT_REMOVE_URIS, gid=download.gid, reason="one URI must remain, or be added in the same call"
        )
    if after != before:
        try:
            await context.services.service.amend(context.user, download.id, _change_urls(before, after))
        except InvalidStateError as error:
            raise make_error(ErrorText.CANNOT_REMOVE_URIS, gid=download.gid, reason=error.detail) from None
    return [len(before) - len(kept), len(after) - len(kept)]


def urls_of(download: Download) -> list[str]:
    """Return the URL of a download and its mirrors."""
    return [download.request.url, *(mirror.url for mirror in download.request.mirrors)]


def remove_each(urls: Sequence[str], removed: Sequence[str]) -> list[str]:
    """Return the URLs without those in `removed`."""
    unwanted = set(removed)
    return [url for url in urls if url not in unwanted]


def insert_urls(urls: Sequence[str], added: Sequence[str], position: int | None) -> list[str]:
    """Return the URLs with new ones at `position`, or at the end.

    Those that are there already, that are not http or https, or that are too many, are left out.
    """
    known = set(urls)
    new = list(dict.fromkeys(url for url in added if has_http_scheme(url) and url not in known))
    new = new[: max(0, MAX_SOURCES - len(urls))]
    index = len(urls) if position is None else position
    return [*urls[:index], *new, *urls[index:]]


def _change_urls(before: Sequence[str], after: Sequence[str]) -> DownloadChange:
    """Return the change of a download to these URLs; what is the same already stays."""
    return DownloadChange(
        url=None if after[0] == before[0] else after[0],
        mirrors=None if after[1:] == before[1:] else after[1:],
    )
