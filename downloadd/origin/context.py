"""The context of the requests of one download to a source: its request fields, its cookies and its limits."""

import msgspec

from downloadd.attempt_options import NO_OPTIONS, AttemptOptions
from downloadd.origin.cookies import CookieJar
from downloadd.request_fields import RequestFields


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """State that the requests of one attempt to a source share."""

    fields: RequestFields | None
    """Those that may be sent to the source."""
    cookies: CookieJar
    """Shared by all sources of the download."""
    options: AttemptOptions = NO_OPTIONS
