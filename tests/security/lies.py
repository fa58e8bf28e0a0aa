"""What origins may do, and what becomes of it: the rows of docs/explanation/origins.md as bytes on the wire."""

import gzip
from typing import Final, NamedTuple

BODY: Final = b"0123456789" * 10
LONG: Final = b"0123456789abcdef" * (5 << 16)
"""5 MiB: long enough that its connection is taken over from the HTTP parser."""
ZIPPED: Final = gzip.compress(bytes(1 << 20), mtime=0)


class Lie(NamedTuple):
    """One behaviour."""

    raw: bytes
    """Everything that is sent, before the connection is closed."""
    outcome: bytes | str
    """The bytes that are saved, or the error code."""


def answer(*fields: bytes | str, body: bytes = BODY, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response of these fields."""
    lines = [start, *(field.encode("latin-1") if isinstance(field, str) else field for field in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def length(value: str | bytes, *, body: bytes = BODY) -> bytes:
    text = value if isinstance(value, str) else value.decode("latin-1")
    return answer(f"Content-Length: {text}", body=body)


def chunked(body: bytes, *fields: str) -> bytes:
    return answer("Transfer-Encoding: chunked", *fields, body=body)


N: Final = "NETWORK_ERROR"
R: Final = "REMOTE_ERROR"
LOOP: Final = "TOO_MANY_REDIRECTS"
URL: Final = "INVALID_URL"

LIES: Final[dict[str, Lie]] = {
    # the length
    "length": Lie(length("100"), BODY),
    "length-short": Lie(length("50"), N),
    "length-and-empty-line": Lie(length("100", body=BODY + b"\r\n"), BODY),
    "length-another-answer": Lie(length("100") + length("100"), N),
    "length-and-a-letter": Lie(length("100", body=BODY + b"H"), N),
    "length-and-half-an-answer": Lie(length("100", body=BODY + b"HTTP/1.1 200 OK\r\nX: y\r\n"), N),
    "length-long": Lie(length("101"), N),
    "length-missing": Lie(answer(), BODY),
    "length-zero": Lie(length("0", body=b""), b""),
    "length-zeros": Lie(length("000100"), BODY),
    "length-twice": Lie(answer("Content-Length: 100", "Content-Length: 100"), N),
    "length-list": Lie(length("100, 100"), N),
    "length-contradicted": Lie(answer("Content-Length: 100", "Content-Length: 50"), N),
    "length-negative": Lie(length("-1"), N),
    "length-plus": Lie(length("+100"), N),
    "length-huge": Lie(length("9" * 40), N),
    "length-overflow": Lie(length(str(2**64 + 100)), N),
    "length-hex": Lie(length("0x64"), N),
    "length-fraction": Lie(length("100.0"), N),
    "length-words": Lie(length("hundred"), N),
    "length-empty": Lie(length(""), N),
    "length-space": Lie(length("1 00"), N),
    "length-underscore": Lie(length("1_00"), N),
    "length-other-digits": Lie(length("\u00b9\u00b2"), N),
    "long": Lie(length(str(len(LONG)), body=LONG), LONG),
    "long-cut": Lie(length(str(len(LONG) + 1), body=LONG), N),
    "long-and-empty-line": Lie(length(str(len(LONG)), body=LONG + b"\r\n"), LONG),
    "long-and-more": Lie(length(str(len(LONG) - 9), body=LONG), N),
    "long-without-length": Lie(answer(body=LONG), LONG),
    # the transfer coding
    "chunked": Lie(chunked(b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY),
    "chunked-pieces": Lie(chunked(b"32\r\n" + BODY[:50] + b"\r\n32\r\n" + BODY[50:] + b"\r\n0\r\n\r\n"), BODY),
    "chunked-extension": Lie(chunked(b'64;name="value"\r\n' + BODY + b"\r\n0\r\n\r\n"), BODY),
    "chunked-zeros": Lie(chunked(b"0064\r\n" + BODY + b"\r\n000\r\n\r\n"), BODY),
    "chunked-and-more": Lie(chunked(b"64\r\n" + BODY + b"\r\n0\r\n\r\n" + BODY), N),
    "chunked-trailer": Lie(chunked(b"64\r\n" + BODY + b"\r\n0\r\nX-Sum: 1\r\n\r\n", "Trailer: X-Sum"), BODY),
    "chunked-empty": Lie(chunked(b"0\r\n\r\n"), b""),
    "chunked-without-end": Lie(chunked(b"64\r\n" + BODY + b"\r\n"), N),
    "chunked-cut": Lie(chunked(b"65\r\n" + BODY), N),
    "chunked-end-cut": Lie(chunked(b"64\r\n" + BODY + b"\r\n0\r\n"), N),
    "chunked-bad-size": Lie(chunked(b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-no-size": Lie(chunked(b"\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-negative": Lie(chunked(b"-64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-prefixed": Lie(chunked(b"0x64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-huge": Lie(chunked(b"f" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-size-too-small": Lie(chunked(b"32\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-space-before": Lie(chunked(b" 64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-bare-lf-once": Lie(chunked(b"64\r\n" + BODY + b"\n0\r\n\r\n"), N),
    "chunked-one-too-many": Lie(chunked(b"65\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-space-after": Lie(chunked(b"64 \r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "chunked-bare-lf": Lie(chunked(b"64\n" + BODY + b"\n0\n\n"), N),
    "chunked-long-extension": Lie(chunked(b"64;" + b"x" * 100_000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY),
    "chunked-and-length": Lie(
        answer("Content-Length: 5", "Transfer-Encoding: chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N
    ),
    "coding-unknown": Lie(answer("Transfer-Encoding: rot13"), N),
    "coding-not-last": Lie(answer("Transfer-Encoding: chunked, gzip", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "coding-gzip": Lie(answer("Transfer-Encoding: gzip, chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "coding-twice": Lie(answer("Transfer-Encoding: chunked, chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "coding-misspelt": Lie(answer("Transfer-Encoding: xchunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "coding-over-two-lines": Lie(
        answer("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N
    ),
    "coding-other-blanks": Lie(answer("Transfer-Encoding: \x0bchunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N),
    "coding-other-letters": Lie(
        answer("Transfer-Encoding: chun\u212aed".encode(), body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N
    ),
    "coding-space-before-colon": Lie(
        answer("Transfer-Encoding : gzip, chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), N
    ),
    "coding-folded": Lie(answer("Transfer-Encoding: chunked\r\n ", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY),
    "coding-folded-first": Lie(
        answer("Transfer-Encoding:\r\n chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY
    ),
    "coding-capitals": Lie(answer("Transfer-Encoding: CHUNKED", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n"), BODY),
    "coding-empty": Lie(answer("Transfer-Encoding:"), N),
    "coding-identity": Lie(answer("Transfer-Encoding: identity"), N),
    # fields and the start line
    "field-flood": Lie(answer(*(f"X-{n}: y" for n in range(50_000)), "Content-Length: 100"), N),
    "field-many": Lie(answer(*(f"X-{n}: y" for n in range(500)), "Content-Length: 100"), BODY),
    "field-long": Lie(answer("X: " + "y" * 60_000, "Content-Length: 100"), BODY),
    "field-huge": Lie(answer("X: " + "y" * (1 << 20), "Content-Length: 100"), N),
    "field-nul": Lie(answer("X: a\0b", "Content-Length: 100"), N),
    "field-nul-in-reason": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 200 O\0K"), N),
    "field-nul-in-trailer": Lie(chunked(b"64\r\n" + BODY + b"\r\n0\r\nX: a\0b\r\n\r\n"), N),
    "field-blank-line-first": Lie(answer(" ", "Content-Length: 100"), N),
    "field-type-twice": Lie(answer("Content-Type: a/b", "Content-Type: c/d", "Content-Length: 100"), BODY),
    "field-control": Lie(answer("X: a\x01b", "Content-Length: 100"), BODY),
    "field-folded": Lie(answer("X: a\r\n b", "Content-Length: 100"), BODY),
    "field-space-before-colon": Lie(answer("Content-Length : 100"), BODY),
    "field-without-colon": Lie(answer("nonsense", "Content-Length: 100"), N),
    "field-without-name": Lie(answer(": x", "Content-Length: 100"), N),
    "field-other-octets": Lie(answer(b"X: \xff\xfe", "Content-Length: 100"), BODY),
    "lines-bare-lf": Lie(b"HTTP/1.1 200 OK\nContent-Length: 100\n\n" + BODY, BODY),
    "lines-bare-cr": Lie(b"HTTP/1.1 200 OK\rContent-Length: 100\r\r" + BODY, N),
    "http-0.9": Lie(BODY, N),
    "http-1.0": Lie(answer(start=b"HTTP/1.0 200 OK"), BODY),
    "http-1.0-chunked": Lie(
        answer("Transfer-Encoding: chunked", body=b"64\r\n" + BODY + b"\r\n0\r\n\r\n", start=b"HTTP/1.0 200 OK"), BODY
    ),
    "http-2": Lie(answer("Content-Length: 100", start=b"HTTP/2.0 200 OK"), N),
    "http-rtsp": Lie(answer("Content-Length: 100", start=b"RTSP/1.0 200 OK"), N),
    "http-icy": Lie(answer("Content-Length: 100", start=b"ICY 200 OK"), N),
    "http-no-reason": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 200"), BODY),
    "http-status-words": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 OK 200"), N),
    "http-status-99": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 99 Low"), N),
    "http-status-1000": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 1000 High"), N),
    "nothing": Lie(b"", N),
    "half-a-head": Lie(b"HTTP/1.1 200 OK\r\nContent-Le", N),
    # statuses
    "status-103": Lie(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + length("100"), BODY),
    "status-100-flood": Lie(b"HTTP/1.1 100 Continue\r\n\r\n" * 200 + length("100"), BODY),
    "status-101": Lie(answer("Upgrade: x", "Connection: Upgrade", start=b"HTTP/1.1 101 Switching Protocols"), R),
    "status-203": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 203 Non-Authoritative"), BODY),
    "status-204": Lie(answer(start=b"HTTP/1.1 204 No Content", body=b""), R),
    "status-204-with-content": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 204 No Content"), R),
    "status-205": Lie(answer("Content-Length: 0", start=b"HTTP/1.1 205 Reset Content", body=b""), R),
    "status-206-unasked": Lie(
        answer("Content-Length: 100", "Content-Range: bytes 0-99/200", start=b"HTTP/1.1 206 Partial Content"), R
    ),
    "status-200-of-a-part": Lie(answer("Content-Range: bytes 0-99/200", "Content-Length: 100"), R),
    "status-200-of-parts": Lie(answer("Content-Type: multipart/byteranges; boundary=x", "Content-Length: 100"), R),
    "status-206-of-all": Lie(
        answer("Content-Length: 100", "Content-Range: bytes 0-99/100", start=b"HTTP/1.1 206 Partial Content"), R
    ),
    "status-304": Lie(answer(start=b"HTTP/1.1 304 Not Modified", body=b""), R),
    "status-416": Lie(answer("Content-Range: bytes */100", start=b"HTTP/1.1 416 Range Not Satisfiable", body=b""), R),
    "status-300": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 300 Multiple Choices"), R),
    "status-404": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 404 Not Found"), "REMOTE_FILE_NOT_FOUND"),
    "status-410": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 410 Gone"), "REMOTE_FILE_NOT_FOUND"),
    "status-401": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 401 Unauthorized"), R),
    "status-407": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 407 Proxy Authentication Required"), R),
    "status-999": Lie(answer("Content-Length: 100", start=b"HTTP/1.1 999 Denied"), R),
    # redirects
    "redirect-nowhere": Lie(answer("Content-Length: 0", start=b"HTTP/1.1 302 Found", body=b""), R),
    "redirect-empty": Lie(answer("Location:", "Content-Length: 0", start=b"HTTP/1.1 302 Found", body=b""), LOOP),
    "redirect-ftp": Lie(answer("Location: ftp://example.com/f", start=b"HTTP/1.1 302 Found", body=b""), URL),
    "redirect-file": Lie(answer("Location: file:///etc/passwd", start=b"HTTP/1.1 302 Found", body=b""), URL),
    "redirect-data": Lie(answer("Location: data:,x", start=b"HTTP/1.1 301 Moved", body=b""), URL),
    "redirect-inner": Lie(
        answer("Location: http://10.0.0.1/", start=b"HTTP/1.1 302 Found", body=b""), "DOMAIN_BLOCKED"
    ),
    "redirect-metadata": Lie(
        answer("Location: http://169.254.169.254/x", start=b"HTTP/1.1 307 Temporary", body=b""), "DOMAIN_BLOCKED"
    ),
    "redirect-no-port": Lie(answer("Location: http://127.0.0.1:99999/", start=b"HTTP/1.1 302 Found", body=b""), R),
    "redirect-nul": Lie(answer(b"Location: /a\0b", start=b"HTTP/1.1 302 Found", body=b""), N),
    # content codings that nobody asked for
    "coded-gzip": Lie(answer("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}", body=ZIPPED), ZIPPED),
    "coded-wrongly": Lie(answer("Content-Encoding: gzip", "Content-Length: 100"), BODY),
    "coded-brotli": Lie(answer("Content-Encoding: br", "Content-Length: 100"), BODY),
    "coded-unknown": Lie(answer("Content-Encoding: rot13", "Content-Length: 100"), BODY),
    "coded-ten-times": Lie(answer("Content-Encoding: " + "gzip, " * 10 + "gzip", "Content-Length: 100"), BODY),
    # digests
    "digest-wrong": Lie(answer("Content-Length: 100", f"Repr-Digest: sha-256=:{'A' * 43}=:"), "CHECKSUM_MISMATCH"),
    "digest-parameter": Lie(
        answer("Content-Length: 100", f"Repr-Digest: sha-256=:{'A' * 43}=:;x=1"), "CHECKSUM_MISMATCH"
    ),
    "digest-second-line": Lie(
        answer("Content-Length: 100", "Repr-Digest: unixsum=:AAAA:", f"Repr-Digest: sha-256=:{'A' * 43}=:"),
        "CHECKSUM_MISMATCH",
    ),
    "digest-nonsense": Lie(answer("Content-Length: 100", "Repr-Digest: nonsense"), BODY),
    "digest-unknown": Lie(answer("Content-Length: 100", "Repr-Digest: crc=:AAAA:"), BODY),
}
