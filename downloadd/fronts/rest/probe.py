"""`POST /api/v1/probe`: what a download of a URL would find."""

from aiohttp import web

from downloadd.download_request import make_download_request
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.disconnection import run_while_connected
from downloadd.fronts.rest.item_bodies import ProbeBody
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schemas import ProbeResponse
from downloadd.policy.redaction import redact_url
from downloadd.rights import Action
from downloadd.service import DownloadService
from downloadd.transfer.probe import ProbeResult


class ProbeEndpoint:
    """Handler of the probe of a URL."""

    def __init__(self, *, service: DownloadService, reader: BodyReader) -> None:
        self._service = service
        self._reader = reader

    async def probe(self, context: RequestContext) -> web.Response:
        """Return what a download would find; a client that disconnects ends the probe."""
        # Before the body is read, which may be long.
        self._service.authorize(context.user, Action.PROBE)
        body = decode_body(await self._reader.read_json(context.request), ProbeBody)
        # Nothing else records which URL was requested.
        context.redacted_url = redact_url(body.url)
        request = make_download_request(body, directory="")
        result = await run_while_connected(context.request, self._service.probe(context.user, request))
        return json_response(make_probe_response(result))


def make_probe_response(result: ProbeResult) -> ProbeResponse:
    """Return the answer to a probe."""
    return ProbeResponse(
        url=result.redacted_url,
        redirects=result.redirects,
        filename=result.filename,
        size=result.size,
        content_type=result.content_type,
        ranges=result.has_ranges,
        etag=result.entity_tag,
        last_modified=result.last_modified,
        checksum=result.checksum,
        resumable=result.is_resumable,
        warning=result.warning,
        success=True,
    )
