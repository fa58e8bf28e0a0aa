"""The context of the requests of one download to a source: its request fields and its cookies."""

import msgspec

from downloadd.origin.cookies import CookieJar
from downloadd.request_fields import RequestFields


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests of one attempt to a source share."""

    fields: RequestFields | None
    """Those that may be sent to the source."""
    cookies: CookieJar
    """Shared by all sources of the download."""
