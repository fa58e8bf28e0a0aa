"""`GET /` and its files: the web page. It is served without a token; its requests to the API need one."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from downloadd.errors import NotFoundError
from downloadd.fronts.page.assets import INDEX, Asset
from downloadd.fronts.page.shared_query import SharedQuery
from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS

_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Allows only files of this server, neither other hosts nor inline scripts (CSP level 3)."""


_SHARED_DECODER: Final = QueryDecoder(SharedQuery)

_SERVICE_WORKER: Final = "service_worker.js"


class PageEndpoints:
    """Handlers of the page and its files."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._assets = assets

    async def index(self, context: RequestContext) -> web.Response:
        """Return the page, for `GET /`. It refers to its files by relative URLs, so the path must end with a slash."""
        if not context.request.raw_path.partition("?")[0].endswith("/"):
            fields = CIMultiDict(COMMON_FIELDS)
            fields["Location"] = f"{context.target.base_path}/"
            return web.Response(status=308, headers=fields)
        # What an app shared with the installed page is read there; nothing starts before the user confirms it.
        _SHARED_DECODER.decode(context.query)
        return self._asset_response(context, INDEX)

    async def file(self, context: RequestContext) -> web.Response:
        """Return a file of the page, for `GET /api/v1/page/{file}`."""
        return self._asset_response(context, context.id)

    def _asset_response(self, context: RequestContext, name: str) -> web.Response:
        asset = self._assets.get(name)
        if asset is None:
            raise NotFoundError("the page does not have this file")
        fields = CIMultiDict(COMMON_FIELDS)
        fields["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
        # Revalidated at each use, so that after an update all files are of the same release.
        fields["Cache-Control"] = "no-cache"
        fields["ETag"] = asset.entity_tag
        client_tags = context.request.headers.get("If-None-Match", "")
        if asset.entity_tag in (tag.strip().removeprefix("W/") for tag in client_tags.split(",")):
            return web.Response(status=304, headers=fields)
        fields["Content-Type"] = asset.media_type
        if name == _SERVICE_WORKER:
            # The page is above its files. A proxy may have a prefix that is not known here.
            fields["Service-Worker-Allowed"] = "/"
        return web.Response(body=asset.content, headers=fields)
