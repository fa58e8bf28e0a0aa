"""`/api/v1/downloads/{id}/file` and `/link`: the content of a finished file, and links to it."""

import base64
import hashlib
from typing import Final
from urllib.parse import quote

from aiohttp import web
from multidict import CIMultiDict

from downloadd.clock import Clock
from downloadd.download import Download, join_path
from downloadd.errors import RangeNotSatisfiableError
from downloadd.fronts.rest.downloads import download_id
from downloadd.fronts.rest.file_conditions import Representation, Selection, select_content
from downloadd.fronts.rest.file_links import FileLinks
from downloadd.fronts.rest.file_schemas import DirectoryFile, DirectoryFiles, DirectoryFilesQuery, FileLink, FileQuery
from downloadd.fronts.rest.file_types import choose_type
from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS, json_response
from downloadd.fronts.rest.target import decode_directory, make_next_link
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.finished_files import ReadableFile
from downloadd.storage.names import parse_directory
from downloadd.views import DownloadViews

CONTENT_SECURITY_POLICY: Final = (
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Lets a browser show a file, and nothing else: no scripts, no forms, no origin of this server (CSP level 3)."""

CHUNK_BYTES: Final = 1 << 18
"""Bytes of a file in memory for each response."""

QUERY_DECODER: Final = QueryDecoder(FileQuery)
"""Decoder of the query."""

LISTING_DECODER: Final = QueryDecoder(DirectoryFilesQuery)
"""Decoder of the query of a listing."""

_SECURE_DIGESTS: Final = frozenset({"sha-256", "sha-512"})
"""Algorithms of `Repr-Digest` that RFC 9530 does not call insecure."""


class FileEndpoints:
    """Handlers of the requests for finished files."""

    def __init__(self, *, views: DownloadViews, links: FileLinks, clock: Clock) -> None:
        self._views = views
        self._links = links
        self._clock = clock

    async def content(self, context: RequestContext) -> web.StreamResponse:
        """Send the file of a completed download, or a range of it, for `GET /api/v1/downloads/{id}/file`."""
        query = QUERY_DECODER.decode(context.query)
        download, file = await self._views.open_file(context.user, download_id(context))
        async with file:
            content = describe_content(download, file, now=self._clock.wall())
            request = context.request
            try:
                selection = select_content(request.method, request.headers, content)
            except RangeNotSatisfiableError as error:
                context.response_fields = {**context.response_fields, "Content-Range": f"bytes */{error.size}"}
                raise
            fields = make_fields(download, content, selection, as_attachment=query.disposition == "attachment")
            fields["X-Request-Id"] = context.request_id
            fields.update(context.response_fields)
            response = web.StreamResponse(status=selection.status, headers=fields)
            await response.prepare(request)
            if request.method != "HEAD" and selection.status != 304:
                await _send(context, response, file, selection)
            await response.write_eof()
        return response

    async def listing(self, context: RequestContext) -> web.Response:
        """Return files and directories in a directory, for `GET /{directory}`."""
        query = LISTING_DECODER.decode(context.query)
        directory = parse_directory(decode_directory(context.target.path))
        after = "" if query.cursor is None else query.cursor
        entries = await self._views.files(context.user, directory, after=after, limit=query.limit + 1)
        shown = entries[: query.limit]
        link = make_next_link(context.target, quote(shown[-1][0].name, safe="")) if len(entries) > len(shown) else ""
        files = [make_directory_file(directory, entry, id) for entry, id in shown]
        return json_response(DirectoryFiles(directory=directory, files=files), link=link)

    async def link(self, context: RequestContext) -> web.Response:
        """Return a link to the file that works without a token, for `POST /api/v1/downloads/{id}/link`."""
        id = download_id(context)
        await self._views.completed(context.user, id)
        ticket, expires = self._links.sign(context.user, id, now=self._clock.wall())
        url = f"{context.target.base_path}/api/v1/downloads/{id}/file?ticket={ticket}"
        return json_response(FileLink(url=url, ticket=ticket, expires=expires), status=201)


def make_directory_file(directory: str, entry: DirectoryEntry, download_id: str | None) -> DirectoryFile:
    """Return the entry of a listing."""
    return DirectoryFile(
        name=entry.name,
        path=join_path(directory, entry.name),
        type="directory" if entry.is_directory else "file",
        size=None if entry.is_directory else entry.size,
        modified=entry.modified,
        download_id=download_id,
    )


def describe_content(download: Download, file: ReadableFile, *, now: float) -> Representation:
    """Return the content of an open file, with a validator that no other file has."""
    digest = hashlib.sha256(f"{download.id} {file.size} {file.modified_ns}".encode()).hexdigest()
    return Representation(
        size=file.size,
        entity_tag=f'"{digest[:32]}"',
        # A date in the future is that of an origin with a wrong clock (RFC 9110, section 8.8.2.1).
        modified=min(file.modified_ns // 10**9, int(now)),
    )


def make_fields(
    download: Download, content: Representation, selection: Selection, *, as_attachment: bool
) -> CIMultiDict[str]:
    """Return the header fields of a response with content, or of 304."""
    fields = CIMultiDict(COMMON_FIELDS)
    fields["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    # The file may be removed or replaced, and another user of the browser may not read it.
    fields["Cache-Control"] = "private, no-cache"
    fields["Accept-Ranges"] = "bytes"
    fields["ETag"] = content.entity_tag
    fields["Last-Modified"] = content.last_modified
    if selection.status == 304:
        return fields
    shown = choose_type(download.filename, download.result.content_type, as_attachment=as_attachment)
    fields["Content-Type"] = shown.media_type
    fields["Content-Disposition"] = shown.disposition(download.filename)
    fields["Content-Length"] = str(selection.end - selection.start)
    if selection.status == 206:
        fields["Content-Range"] = f"bytes {selection.start}-{selection.end - 1}/{content.size}"
    algorithm, _, digest = (download.result.checksum or "").partition("=")
    if algorithm in _SECURE_DIGESTS:
        encoded = base64.b64encode(bytes.fromhex(digest)).decode()
        fields["Repr-Digest"] = f"{algorithm}=:{encoded}:"
    return fields


async def _send(
    context: RequestContext, response: web.StreamResponse, file: ReadableFile, selection: Selection
) -> None:
    offset = selection.start
    while offset < selection.end:
        piece = await file.read(offset, min(CHUNK_BYTES, selection.end - offset))
        if not piece:
            # It was truncated meanwhile. A response that is too short must not look like a complete one.
            if context.request.transport is not None:
                context.request.transport.abort()
            raise ConnectionResetError("the file became shorter while it was sent")
        await response.write(piece)
        offset += len(piece)
