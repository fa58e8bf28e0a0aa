"""`GET /api/v1/docs`: the OpenAPI document as a page on which operations can be tried, by Swagger UI.

All its files are served by this server. The document is in one of them, because the page has no token to request it.
A token that is typed into the page stays there. All URLs are relative, so that the page works under any base path.
"""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from downloadd.fronts.rest.openapi import DocumentEndpoint
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS

_PACKAGE: Final = "swagger_ui"
"""Package with a built Swagger UI; only its files are used, its modules are not imported."""

ASSET_TYPES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "initialiser.js": "text/javascript",
}
"""Files that the page loads, with their media types."""

# Swagger UI sets style attributes, hence 'unsafe-inline' for styles, and has its icons in data: URLs.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>downloadd: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/initialiser.js" defer></script>
</head>
<body>
<main id="reference"></main>
<noscript>This page needs JavaScript. With a token, read the document itself at openapi.json.</noscript>
</body>
</html>
"""

# `validatorUrl` would send the document to another host.
_INIT_SCRIPT: Final = b"""SwaggerUIBundle({
  spec: %b,
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
"""


class ReferencePage:
    """Handlers of the page and its files."""

    def __init__(self, endpoint: DocumentEndpoint) -> None:
        self._endpoint = endpoint

    async def page(self, context: RequestContext) -> web.Response:
        """Return the page, for `GET /api/v1/docs`."""
        return _make_response(_PAGE, "text/html")

    def make_file_handler(self, name: str) -> Callable[[RequestContext], Awaitable[web.StreamResponse]]:
        """Return a handler that serves one of `ASSET_TYPES`; the file is not kept in memory."""

        async def show(context: RequestContext) -> web.StreamResponse:
            if name == "initialiser.js":
                return _make_response(_INIT_SCRIPT % self._endpoint.document, ASSET_TYPES[name])
            response = web.FileResponse(_static_folder() / name, headers=_fields(ASSET_TYPES[name]))
            # Browsers may store it and have to revalidate it: the file has a validator.
            response.headers["Cache-Control"] = "no-cache"
            return response

        return show


def _static_folder() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(_PACKAGE)
    return Path(spec.origin).parent / "static"


def _make_response(body: bytes, media_type: str) -> web.Response:
    return web.Response(body=body, headers=_fields(media_type))


def _fields(media_type: str) -> CIMultiDict[str]:
    fields = CIMultiDict(COMMON_FIELDS)
    fields["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
    fields["Content-Type"] = f"{media_type}; charset=utf-8"
    return fields
