"""What origins may do, and what becomes of it: the rows of docs/explanation/origins.md as bytes on the wire."""

import gzip
from typing import Final, NamedTuple

BODY: Final = b"0123456789" * 10
LONG_BODY: Final = b"0123456789abcdef" * (5 << 16)
"""5 MiB: long enough that its connection is taken over from the HTTP parser."""
GZIP_BODY: Final = gzip.compress(bytes(1 << 20), mtime=0)


class MalformedResponse(NamedTuple):
    """One behaviour."""

    raw: bytes
    """Everything that is sent, before the connection is closed."""
    outcome: bytes | str
    """The bytes that are saved, or the error code."""


def format_response(*fields: bytes | str, body: bytes = BODY, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return a response with these fields."""
    lines = [start, *(field.encode("latin-1") if isinstance(field, str) else field for field in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def length(value: str | bytes, *, body: bytes = BODY) -> bytes:
    text = value if isinstance(value, str) else value.decode("latin-1")
    return format_response(f"Content-Length: {text}", body=body)


def chunked(body: bytes, *fields: str) -> bytes:
    return format_response("Transfer-Encoding: chunked", *fields, body=body)


NETWORK: Final = "NETWORK_ERROR"
REMOTE: Final = "REMOTE_ERROR"
REDIRECT_LOOP: Final = "TOO_MANY_REDIRECTS"
BAD_URL: Final = "INVALID_URL"

MALFORMED_RESPONSES: Final[dict[str, MalformedResponse]] = {
    # the length
    "length": MalformedResponse(length("100"), BODY),
    "length-short": MalformedResponse(length("50"), NETWORK),
    "length-and-empty-line": MalformedResponse(length("100", body=BODY + b"\r\n"), BODY),
    "length-another-answer": MalformedResponse(length("100") + length("100"), NETWORK),
    "length-and-a-letter": MalformedResponse(length("100", body=BODY + b"H"), NETWORK),
    "length-and-half-an-answer": MalformedResponse(length("100", body=BODY + b"HTTP/1.1 200 OK\r\nX: y\r\n"), NETWORK),
    "length-long": MalformedResponse(length("101"), NETWORK),
    "length-missing": MalformedResponse(format_response(), BODY),
    "length-zero": MalformedResponse(length("0", body=b""), b""),
    "length-zeros": MalformedResponse(length("000100"), BODY),
    "length-twice": MalformedResponse(format_response("Content-Length: 100", "Content-Length: 100"), NETWORK),
    "length-list": MalformedResponse(length("100, 100"), NETWORK),
    "length-contradicted": MalformedResponse(format_response("Content-Length: 100", "Content-Length: 50"), NETWORK),
    "length-negative": MalformedResponse(length("-1"), NETWORK),
    "length-plus": MalformedResponse(length("+100"), NETWORK),
    "length-huge": MalformedResponse(length("9" * 40), NETWORK),
    "length-overflow": MalformedResponse(length(str(2**64 + 100)), NETWORK),
    "length-hex": MalformedResponse(length("0x64"), NETWORK),
    "length-fraction": MalformedResponse(length("100.0"), NETWORK),
    "length-words": MalformedResponse(length("hundred"), NETWORK),
    "length-empty": MalformedResponse(length(""), NETWORK),
    "length-space": MalformedResponse(length("1 00"), NETWORK),
    "length-underscore": MalformedResponse(length("1_00"), NETWORK),
    "length-other-digits": MalformedResponse(length("\u00b9\u00b2"), NETWORK),
    "long": MalformedResponse(length(str(len(LONG_BODY)), body=LONG_BODY), LONG_BODY),
    "long-cut": MalformedResponse(length(str(len(LONG_BODY) + 1), body=LONG_BODY), NETWORK),
    "long-and-empty-line": MalformedResponse(length(str(len(LONG_BODY)), body=LONG_BODY + b"\r\n"), LONG_BODY),
    "long-and-more": MalformedResponse(length(str(len(LONG_BODY) - 9), body=LONG_BODY), NETWORK),
    "long-without-length": MalformedResponse(format_response(body=LONG_BODY), LONG_BODY),
    # the transfer coding
    "chunked": MalformedResponse(chunked(b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY),
    "chunked-pieces": MalformedResponse(
        chunked(b"32\r\n" + BODY[:50] + b"\r\n32\r\n" + BODY[50:] + b"\r\n0\r\n\r\n"), BODY
    ),
    "chunked-extension": MalformedResponse(chunked(b'64;name="value"\r\n' + BODY + b"\r\n0\r\n\r\n"), BODY),
    "chunked-zeros": MalformedResponse(chunked(b"0064\r\n" + BODY + b"\r\n000\r\n\r\n"), BODY),
    "chunked-and-more": MalformedResponse(chunked(b"64\r\n" + BODY + b"\r\n0\r\n\r\n" + BODY), NETWORK),
    "chunked-trailer": MalformedResponse(
        chunked(b"64\r\n" + BODY + b"\r\n0\r\nX-Sum: 1\r\n\r\n", "Trailer: X-Sum"), BODY
    ),
    "chunked-empty": MalformedResponse(chunked(b"0\r\n\r\n"), b""),
    "chunked-without-end": MalformedResponse(chunked(b"64\r\n" + BODY + b"\r\n"), NETWORK),
    "chunked-cut": MalformedResponse(chunked(b"65\r\n" + BODY), NETWORK),
    "chunked-end-cut": MalformedResponse(chunked(b"64\r\n" + BODY + b"\r\n0\r\n"), NETWORK),
    "chunked-bad-size": MalformedResponse(chunked(b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-no-size": MalformedResponse(chunked(b"\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-negative": MalformedResponse(chunked(b"-64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-prefixed": MalformedResponse(chunked(b"0x64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-huge": MalformedResponse(chunked(b"f" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-size-too-small": MalformedResponse(chunked(b"32\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-space-before": MalformedResponse(chunked(b" 64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-bare-lf-once": MalformedResponse(chunked(b"64\r\n" + BODY + b"\n0\r\n\r\n"), NETWORK),
    "chunked-one-too-many": MalformedResponse(chunked(b"65\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-space-after": MalformedResponse(chunked(b"64 \r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK),
    "chunked-bare-lf": MalformedResponse(chunked(b"64\n" + BODY + b"\n0\n\n"), NETWORK),
    "chunked-long-extension": MalformedResponse(
        chunked(b"64;" + b"x" * 100_000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY
    ),
    "chunked-and-length": MalformedResponse(
        format_response("Content-Length: 5", "Transfer-Encoding: chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"),
        NETWORK,
    ),
    "coding-unknown": MalformedResponse(format_response("Transfer-Encoding: rot13"), NETWORK),
    "coding-not-last": MalformedResponse(
        format_response("Transfer-Encoding: chunked, gzip", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK
    ),
    "coding-gzip": MalformedResponse(
        format_response("Transfer-Encoding: gzip, chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK
    ),
    "coding-twice": MalformedResponse(
        format_response("Transfer-Encoding: chunked, chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK
    ),
    "coding-misspelt": MalformedResponse(
        format_response("Transfer-Encoding: xchunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK
    ),
    "coding-over-two-lines": MalformedResponse(
        format_response(
            "Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"
        ),
        NETWORK,
    ),
    "coding-other-blanks": MalformedResponse(
        format_response("Transfer-Encoding: \x0bchunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK
    ),
    "coding-other-letters": MalformedResponse(
        format_response("Transfer-Encoding: chun\u212aed".encode(), body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK
    ),
    "coding-space-before-colon": MalformedResponse(
        format_response("Transfer-Encoding : gzip, chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), NETWORK
    ),
    "coding-folded": MalformedResponse(
        format_response("Transfer-Encoding: chunked\r\n ", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY
    ),
    "coding-folded-first": MalformedResponse(
        format_response("Transfer-Encoding:\r\n chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY
    ),
    "coding-capitals": MalformedResponse(
        format_response("Transfer-Encoding: CHUNKED", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY
    ),
    "coding-empty": MalformedResponse(format_response("Transfer-Encoding:"), NETWORK),
    "coding-identity": MalformedResponse(format_response("Transfer-Encoding: identity"), NETWORK),
    # fields and the start line
    "field-flood": MalformedResponse(
        format_response(*(f"X-{n}: y" for n in range(50_000)), "Content-Length: 100"), NETWORK
    ),
    "field-many": MalformedResponse(format_response(*(f"X-{n}: y" for n in range(500)), "Content-Length: 100"), BODY),
    "field-long": MalformedResponse(format_response("X: " + "y" * 60_000, "Content-Length: 100"), BODY),
    "field-huge": MalformedResponse(format_response("X: " + "y" * (1 << 20), "Content-Length: 100"), NETWORK),
    "field-nul": MalformedResponse(format_response("X: a\0b", "Content-Length: 100"), NETWORK),
    "field-nul-in-reason": MalformedResponse(
        format_response("Content-Length: 100", start=b"HTTP/1.1 200 O\0K"), NETWORK
    ),
    "field-nul-in-trailer": MalformedResponse(chunked(b"64\r\n" + BODY + b"\r\n0\r\nX: a\0b\r\n\r\n"), NETWORK),
    "field-blank-line-first": MalformedResponse(format_response(" ", "Content-Length: 100"), NETWORK),
    "field-type-twice": MalformedResponse(
        format_response("Content-Type: a/b", "Content-Type: c/d", "Content-Length: 100"), BODY
    ),
    "field-control": MalformedResponse(format_response("X: a\x01b", "Content-Length: 100"), BODY),
    "field-folded": MalformedResponse(format_response("X: a\r\n b", "Content-Length: 100"), BODY),
    "field-space-before-colon": MalformedResponse(format_response("Content-Length : 100"), BODY),
    "field-without-colon": MalformedResponse(format_response("nonsense", "Content-Length: 100"), NETWORK),
    "field-without-name": MalformedResponse(format_response(": x", "Content-Length: 100"), NETWORK),
    "field-other-octets": MalformedResponse(format_response(b"X: \xff\xfe", "Content-Length: 100"), BODY),
    "lines-bare-lf": MalformedResponse(b"HTTP/1.1 200 OK\nContent-Length: 100\n\n" + BODY, BODY),
    "lines-bare-cr": MalformedResponse(b"HTTP/1.1 200 OK\rContent-Length: 100\r\r" + BODY, NETWORK),
    "http-0.9": MalformedResponse(BODY, NETWORK),
    "http-1.0": MalformedResponse(format_response(start=b"HTTP/1.0 200 OK"), BODY),
    "http-1.0-chunked": MalformedResponse(
        format_response(
            "Transfer-Encoding: chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n", start=b"HTTP/1.0 200 OK"
        ),
        BODY,
    ),
    "http-2": MalformedResponse(format_response("Content-Length: 100", start=b"HTTP/2.0 200 OK"), NETWORK),
    "http-rtsp": MalformedResponse(format_response("Content-Length: 100", start=b"RTSP/1.0 200 OK"), NETWORK),
    "http-icy": MalformedResponse(format_response("Content-Length: 100", start=b"ICY 200 OK"), NETWORK),
    "http-no-reason": MalformedResponse(format_response("Content-Length: 100", start=b"HTTP/1.1 200"), BODY),
    "http-status-words": MalformedResponse(format_response("Content-Length: 100", start=b"HTTP/1.1 OK 200"), NETWORK),
    "http-status-99": MalformedResponse(format_response("Content-Length: 100", start=b"HTTP/1.1 99 Low"), NETWORK),
    "http-status-1000": MalformedResponse(format_response("Content-Length: 100", start=b"HTTP/1.1 1000 High"), NETWORK),
    "nothing": MalformedResponse(b"", NETWORK),
    "half-a-head": MalformedResponse(b"HTTP/1.1 200 OK\r\nContent-Le", NETWORK),
    # statuses
    "status-103": MalformedResponse(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + length("100"), BODY),
    "status-100-flood": MalformedResponse(b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + length("100"), BODY),
    "status-101": MalformedResponse(
        format_response("Upgrade: x", "Connection: Upgrade", start=b"HTTP/1.1 101 Switching Protocols"), REMOTE
    ),
    "status-203": MalformedResponse(
        format_response("Content-Length: 100", start=b"HTTP/1.1 203 Non-Authoritative"), BODY
    ),
    "status-204": MalformedResponse(format_response(start=b"HTTP/1.1 204 No Content", body=b""), REMOTE),
    "status-204-with-content": MalformedResponse(
        format_response("Content-Length: 100", start=b"HTTP/1.1 204 No Content"), REMOTE
    ),
    "status-205": MalformedResponse(
        format_response("Content-Length: 0", start=b"HTTP/1.1 205 Reset Content", body=b""), REMOTE
    ),
    "status-206-unasked": MalformedResponse(
        format_response("Content-Length: 100", "Content-Range: bytes 0-99/200", start=b"HTTP/1.1 206 Partial Content"),
        REMOTE,
    ),
    "status-200-of-a-part": MalformedResponse(
        format_response("Content-Range: bytes 0-99/200", "Content-Length: 100"), REMOTE
    ),
    "status-200-of-parts": MalformedResponse(
        format_response("Content-Type: multipart/byteranges; boundary=x", "Content-Length: 100"), REMOTE
    ),
    "status-206-of-all": MalformedResponse(
        format_response("Content-Length: 100", "Content-Range: bytes 0-99/100", start=b"HTTP/1.1 206 Partial Content"),
        REMOTE,
    ),
    "status-304": MalformedResponse(format_response(start=b"HTTP/1.1 304 Not Modified", body=b""), REMOTE),
    "status-416": MalformedResponse(
        format_response("Content-Range: bytes */100", start=b"HTTP/1.1 416 Range Not Satisfiable", body=b""), REMOTE
    ),
    "status-300": MalformedResponse(
        format_response("Content-Length: 100", start=b"HTTP/1.1 300 Multiple Choices"), REMOTE
    ),
    "status-404": MalformedResponse(
        format_response("Content-Length: 100", start=b"HTTP/1.1 404 Not Found"), "REMOTE_FILE_NOT_FOUND"
    ),
    "status-410": MalformedResponse(
        format_response("Content-Length: 100", start=b"HTTP/1.1 410 Gone"), "REMOTE_FILE_NOT_FOUND"
    ),
    "status-401": MalformedResponse(format_response("Content-Length: 100", start=b"HTTP/1.1 401 Unauthorized"), REMOTE),
    "status-407": MalformedResponse(
        format_response("Content-Length: 100", start=b"HTTP/1.1 407 Proxy Authentication Required"), REMOTE
    ),
    "status-999": MalformedResponse(format_response("Content-Length: 100", start=b"HTTP/1.1 999 Denied"), REMOTE),
    # redirects
    "redirect-nowhere": MalformedResponse(
        format_response("Content-Length: 0", start=b"HTTP/1.1 302 Found", body=b""), REMOTE
    ),
    "redirect-empty": MalformedResponse(
        format_response("Location:", "Content-Length: 0", start=b"HTTP/1.1 302 Found", body=b""), REDIRECT_LOOP
    ),
    "redirect-ftp": MalformedResponse(
        format_response("Location: ftp://example.com/f", start=b"HTTP/1.1 302 Found", body=b""), BAD_URL
    ),
    "redirect-file": MalformedResponse(
        format_response("Location: file:///etc/passwd", start=b"HTTP/1.1 302 Found", body=b""), BAD_URL
    ),
    "redirect-data": MalformedResponse(
        format_response("Location: data:,x", start=b"HTTP/1.1 301 Moved", body=b""), BAD_URL
    ),
    "redirect-inner": MalformedResponse(
        format_response("Location: http://10.0.0.1/", start=b"HTTP/1.1 302 Found", body=b""), "DOMAIN_BLOCKED"
    ),
    "redirect-metadata": MalformedResponse(
        format_response("Location: http://169.254.169.254/x", start=b"HTTP/1.1 307 Temporary", body=b""),
        "DOMAIN_BLOCKED",
    ),
    "redirect-no-port": MalformedResponse(
        format_response("Location: http://127.0.0.1:99999/", start=b"HTTP/1.1 302 Found", body=b""), REMOTE
    ),
    "redirect-nul": MalformedResponse(
        format_response(b"Location: /a\0b", start=b"HTTP/1.1 302 Found", body=b""), NETWORK
    ),
    # content codings that nobody asked for
    "coded-gzip": MalformedResponse(
        format_response("Content-Encoding: gzip", f"Content-Length: {len(GZIP_BODY)}", body=GZIP_BODY), GZIP_BODY
    ),
    "coded-wrongly": MalformedResponse(format_response("Content-Encoding: gzip", "Content-Length: 100"), BODY),
    "coded-brotli": MalformedResponse(format_response("Content-Encoding: br", "Content-Length: 100"), BODY),
    "coded-unknown": MalformedResponse(format_response("Content-Encoding: rot13", "Content-Length: 100"), BODY),
    "coded-ten-times": MalformedResponse(
        format_response("Content-Encoding: " + "gzip, " * 10 + "gzip", "Content-Length: 100"), BODY
    ),
    # digests
    "digest-wrong": MalformedResponse(
        format_response("Content-Length: 100", f"Repr-Digest: sha-256=:{'A' * 43}=:"), "CHECKSUM_MISMATCH"
    ),
    "digest-parameter": MalformedResponse(
        format_response("Content-Length: 100", f"Repr-Digest: sha-256=:{'A' * 43}=:;x=1"), "CHECKSUM_MISMATCH"
    ),
    "digest-second-line": MalformedResponse(
        format_response("Content-Length: 100", "Repr-Digest: unixsum=:AAAA:", f"Repr-Digest: sha-256=:{'A' * 43}=:"),
        "CHECKSUM_MISMATCH",
    ),
    "digest-nonsense": MalformedResponse(format_response("Content-Length: 100", "Repr-Digest: nonsense"), BODY),
    "digest-unknown": MalformedResponse(format_response("Content-Length: 100", "Repr-Digest: crc=:AAAA:"), BODY),
}
