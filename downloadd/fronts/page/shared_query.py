"""What another app shares with the installed page (Web Share Target).

Pure: no I/O and no clock.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

_Shared = Annotated[
    str, Meta(description="Text that an app shares with the installed page, which reads links from it.")
]


class SharedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /` of the page."""

    title: _Shared | None = None
    text: _Shared | None = None
    url: _Shared | None = None
