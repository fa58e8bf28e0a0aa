"""Head of a request, as bytes (RFC 9112, section 3). Pure: no I/O and no clock."""

import re
from collections.abc import Iterable
from typing import Final

from downloadd.policy.url import AllowedUrl
from downloadd.request_fields import HTTP_TOKEN

_LINE_BREAK: Final = re.compile(rb"[\x00\r\n]")


def encode_request_head(url: AllowedUrl, fields: Iterable[tuple[str, str]], *, method: str, via_proxy: bool) -> bytes:
    """Return the request line, `Host` and the other fields.

    With `via_proxy` the target is the absolute form, which a proxy without CONNECT requires (RFC 9112, section 3.2.2).

    Raises:
        ValueError: a part would end its line, or is not a token: a caller has not checked it.
    """
    target = f"{url.origin}{url.request_target}" if via_proxy else url.request_target
    lines = [_encode(f"{method} {target} HTTP/1.1"), _encode(f"Host: {url.origin.partition('://')[2]}")]
    for name, value in fields:
        if not HTTP_TOKEN.fullmatch(name):
            raise ValueError("the name of a field is not a token")
        lines.append(_encode(f"{name}: {value}"))
    return b"\r\n".join([*lines, b"", b""])


def _encode(line: str) -> bytes:
    encoded = line.encode(errors="surrogateescape")
    if _LINE_BREAK.search(encoded):
        raise ValueError("a line of the request has a line break or a NUL")
    return encoded
