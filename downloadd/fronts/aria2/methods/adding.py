"""Methods that add downloads. They return the requests, so that those of neighbouring calls are started together."""

import asyncio
from base64 import b64decode
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final, NoReturn

import msgspec

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.fronts.aria2.errors import refuse
from downloadd.fronts.aria2.methods.context import Context
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.fronts.aria2.options.download_options import make_request, select_urls
from downloadd.fronts.aria2.options.options import DOWNLOAD_USES, inherit_options, read_options
from downloadd.import_operation import FileLink, SkippedEntry
from downloadd.imports.metalink import read_metalink
from downloadd.imports.refusal import ImportRefusedError
from downloadd.states import State

MAX_FILES: Final = 10_000
"""Files of one Metalink."""

_OF_ONE_FILE: Final = frozenset({"out", "checksum", "gid"})
"""Options that a Metalink states for each file, or that cannot be those of several files."""


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """Downloads that one call adds."""

    requests: Sequence[DownloadRequest]
    is_list: bool = False
    """True if the result is a list of gids."""


async def prepare_uri(context: Context, parameters: Parameters) -> Addition:
    """Return the download of `addUri`.

    Raises:
        RpcError: a parameter cannot be used.
    """
    uris = parameters.texts(0)
    given = parameters.optional_struct(1)
    position = parameters.optional_position(2)
    urls = select_urls(uris)
    options = inherit_options(read_options(given, DOWNLOAD_USES), context.services.global_options.of(context.user.id))
    return Addition(requests=[make_request(options, urls, root=context.services.root, position=position)])


async def prepare_metalink(context: Context, parameters: Parameters) -> Addition:
    """Return the downloads of `addMetalink`, one for each file that has a URL.

    Raises:
        RpcError: a parameter cannot be used, or there is no file with a URL.
    """
    content = parameters.binary(0)
    given = parameters.optional_struct(1)
    position = parameters.optional_position(2)
    options = inherit_options(read_options(given, DOWNLOAD_USES), context.services.global_options.of(context.user.id))
    options = {name: text for name, text in options.items() if name not in _OF_ONE_FILE}
    # A Metalink may be as long as a request.
    links = await asyncio.to_thread(_read_links, content)
    requests = [
        _make_file_request(options, link, root=context.services.root, position=position, number=number)
        for number, link in enumerate(links)
    ]
    return Addition(requests=requests, is_list=True)


async def add_torrent(_context: Context, parameters: Parameters) -> NoReturn:
    """Refuse a torrent."""
    parameters.binary(0)
    parameters.optional_texts(1)
    parameters.optional_struct(2)
    parameters.optional_position(3)
    raise refuse("BitTorrent is not supported here; add the file by a URL of http or https, or by a Metalink")


def make_result(addition: Addition, downloads: Sequence[Download]) -> Any:
    """Return the result of a call whose downloads were recorded.

    A file of a Metalink that was refused among others has a gid too, and its status says why.

    Raises:
        RpcError: all of them were refused.
    """
    refused = [download for download in downloads if download.state is State.FAILED]
    if len(refused) == len(downloads):
        raise refuse(refused[0].result.detail or "The download was refused")
    return [download.gid for download in downloads] if addition.is_list else downloads[0].gid


def _make_file_request(
    options: dict[str, str], link: FileLink, *, root: str, position: int | None, number: int
) -> DownloadRequest:
    urls = [link.url, *link.mirrors]
    own = options if link.checksum is None else {**options, "checksum": link.checksum}
    request = make_request(
        {**own, "out": "/".join(part for part in (link.directory, link.name) if part)},
        urls,
        root=root,
        position=None if position is None else position + number,
    )
    return msgspec.structs.replace(request, size=link.size)


def _read_links(content: bytes | str) -> list[FileLink]:
    """Return the files of a Metalink, given as it is or as Base64.

    Raises:
        RpcError: it cannot be read, or has no file with a URL.
    """
    links: list[FileLink] = []
    problem = "the Metalink names no file"
    try:
        document = b64decode(content, validate=True) if isinstance(content, str) else content
        for item in read_metalink(BytesIO(document)):
            if isinstance(item, FileLink):
                links.append(item)
            elif isinstance(item, SkippedEntry):
                problem = item.detail
            if len(links) > MAX_FILES:
                raise refuse(f"The Metalink has more than {MAX_FILES} files; add them with several calls")
    except ValueError:
        raise refuse("The Metalink is not Base64; encode the file as one text") from None
    except ImportRefusedError as error:
        raise refuse(f"The Metalink cannot be read: {error.message}") from None
    if not links:
        raise refuse(f"No file of the Metalink can be downloaded: {problem}")
    return links
