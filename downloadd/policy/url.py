"""Strict parser of URLs that keeps every byte of path and query.

A presigned URL that is quoted again breaks, so path and query are sent unchanged: the case of percent escapes, dot
segments, repeated slashes, `+`, `;`, an invalid `%zz` and the `?` of an empty query stay. Three things change:

- scheme and host get their canonical spelling, and a default port is omitted (RFC 3986, sections 6.2.2 and 6.2.3), so
  that the policy checks what is connected to; an IPv4 address must have its canonical spelling already;
- userinfo gets a field of its own, and the fragment is dropped (RFC 9110, sections 4.2.4 and 7.1);
- characters that a request line may not hold, or that common origins refuse there, are percent-encoded: the space, `"`,
  `<`, `>`, and everything that is not ASCII, as UTF-8 (RFC 3987, section 3.1; the URL Standard's query percent-encode
  set).

Pure: no I/O and no clock.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

import idna
import msgspec

from downloadd.errors import InvalidUrlError

MAX_URL_BYTES: Final = 16 * 1024
"""Bytes of the longest URL; most origins accept 8 KiB, presigned URLs need up to 4 KiB."""

MAX_HOST_NAME_BYTES: Final = 253
"""Characters of the longest host name (RFC 1035, section 2.3.4, without the length bytes)."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_WHITESPACE: Final = re.compile(r"\s")
_AFTER_AUTHORITY: Final = re.compile(r"[/?#]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MUST_ENCODE: Final = re.compile(r'[ "<>]+|[^\x00-\x7f]+')
_INVALID_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_PORT: Final = re.compile(r"0*([0-9]{1,5})")
_IPV4_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_IPV4_ADDRESS: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_INVALID_IN_USERINFO: Final = re.compile(r'[\s\[\]"<>\\^`{|}]')


class ParsedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """URL that is well-formed, but not checked by the policy."""

    text: str
    """The URL as it is requested: ASCII, without userinfo and fragment."""
    scheme: str
    """`http` or `https`."""
    host: str
    """Lower-case A-labels without trailing dot, a dotted quad, or an IPv6 address without brackets."""
    port: int
    request_target: str
    """Path and query as in the request line (RFC 9112, section 3.2.1)."""
    userinfo: tuple[str, str] | None = None
    """User and password, decoded."""

    def __repr__(self) -> str:
        """Return the origin only, so that no log or traceback shows a secret."""
        return f"{type(self).__name__}(origin={self.origin!r}, ...)"

    @property
    def origin(self) -> str:
        """Scheme, host and port, unless it is the default one (RFC 6454, section 6.2): `http://example.com:8080`."""
        return f"{self.scheme}://{_format_authority(self.scheme, self.host, self.port)}"


class AllowedUrl(ParsedUrl, frozen=True, kw_only=True):
    """URL that the policy allows; only `Policy` constructs it."""


def has_http_scheme(text: str) -> bool:
    """Return True if a text begins as a URL of http or https; a scheme has no case (RFC 3986, section 3.1)."""
    return text[:8].lower().startswith(("http://", "https://"))


def parse_url(text: str) -> ParsedUrl:
    r"""Parse an absolute `http` or `https` URL (RFC 3986, section 3).

    Everything that two parsers may understand differently is refused, not repaired: control characters, white space at
    the ends or in the authority, a backslash before the query, more than one `@` in the authority, anything around the
    brackets of an IPv6 address. Surrogates U+DC80 to U+DCFF stand for bytes that are not UTF-8 (PEP 383).

    Raises:
        InvalidUrlError: `text` is malformed; the message holds no part of the userinfo, path or query.
    """
    _check_characters(text)
    scheme, rest = _split_scheme(text)
    found = _AFTER_AUTHORITY.search(rest)
    end = len(rest) if found is None else found.start()
    userinfo, host, port = _parse_authority(rest[:end])
    target = rest[end:].partition("#")[0]
    if not target.startswith("/"):
        target = f"/{target}"
    if "\\" in target.partition("?")[0]:
        raise InvalidUrlError("the path of the URL holds a backslash; write / or %5C, whichever is meant")
    target = _MUST_ENCODE.sub(_percent_encode, target)
    if port is None:
        port = DEFAULT_PORTS[scheme]
    text = f"{scheme}://{_format_authority(scheme, host, port)}{target}"
    if len(text) > MAX_URL_BYTES:
        raise InvalidUrlError(f"the URL is longer than {MAX_URL_BYTES} bytes once it is percent-encoded")
    return ParsedUrl(text=text, scheme=scheme, host=host, port=port, request_target=target, userinfo=userinfo)


@lru_cache(maxsize=4096)
def parse_host(text: str) -> str:
    """Return the canonical spelling of a host: a name as lower-case A-labels, or an IP address.

    IPv6 addresses have brackets in `text` and none in the result. Names are mapped by UTS 46. A name whose last label
    is a number is an IPv4 address (the URL Standard, section 3.6), and must be four decimal numbers (RFC 3986, section
    3.2.2): programs read `010.0.0.1`, `0x7f.1`, `127.1` and `2130706433` as different addresses, or as names.

    Recent results are cached, since most downloads come from few hosts.

    Raises:
        InvalidUrlError: `text` is not a host.
    """
    if not text:
        raise InvalidUrlError("the URL has no host")
    if text[0] == "[":
        return _parse_ipv6(text)
    name = _decode_host(text)
    if not name.isascii():
        name = _map_to_ascii(name)
    full_name = name.lower()
    name = full_name.removesuffix(".")
    labels = name.split(".")
    if _IPV4_NUMBER.fullmatch(labels[-1]):
        return _parse_ipv4(full_name)
    if len(name) > MAX_HOST_NAME_BYTES:
        raise InvalidUrlError(f"the host name of the URL is longer than {MAX_HOST_NAME_BYTES} characters")
    for label in labels:
        _check_label(label)
    return name


def is_address(host: str) -> bool:
    """Return True if a host, in the spelling of `parse_host`, is an IP address."""
    # Only an IPv4 address ends with a number.
    return ":" in host or (host[-1].isdigit() and host.rpartition(".")[2].isdigit())


def format_host(host: str) -> str:
    """Return a name or address as it stands in a URL: an IPv6 address has brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def host_of(origin: str) -> str:
    """Return the host of an origin, as `ParsedUrl.origin` states it, in the spelling of `parse_host`."""
    authority = origin.rpartition("://")[2]
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def _check_characters(text: str) -> None:
    if not text:
        raise InvalidUrlError("the URL is empty")
    try:
        length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise InvalidUrlError("the URL is not valid Unicode: it holds half of a surrogate pair") from None
    if length > MAX_URL_BYTES:
        raise InvalidUrlError(f"the URL is longer than {MAX_URL_BYTES} bytes")
    if _CONTROL.search(text):
        raise InvalidUrlError("the URL holds a control character, such as a line break or a tab")
    if text[0].isspace() or text[-1].isspace():
        raise InvalidUrlError("the URL begins or ends with white space")


def _split_scheme(text: str) -> tuple[str, str]:
    found = _SCHEME.match(text)
    if found is None or (text[found.end() : found.end() + 2] != "//" and found[1].lower() not in DEFAULT_PORTS):
        raise InvalidUrlError("the URL has no scheme; it must begin with http:// or https://")
    scheme = found[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise InvalidUrlError("the scheme of the URL is neither http nor https")
    rest = text[found.end() :]
    if not rest.startswith("//"):
        raise InvalidUrlError(f"the URL must begin with {scheme}://, two slashes included")
    return scheme, rest[2:]


def _parse_authority(authority: str) -> tuple[tuple[str, str] | None, str, int | None]:
    if "\\" in authority:
        raise InvalidUrlError("the URL holds a backslash before its path")
    if _WHITESPACE.search(authority):
        raise InvalidUrlError("the URL holds white space before its path")
    userinfo, at, hostport = authority.rpartition("@")
    if hostport.startswith("["):
        host, bracket, port = hostport.partition("]")
        host += bracket
        if port and port[0] != ":":
            raise InvalidUrlError("something other than a port follows the IPv6 address of the URL")
        port = port[1:]
    else:
        host, _, port = hostport.partition(":")
        if "[" in host or "]" in host:
            raise InvalidUrlError("the URL has brackets that do not enclose an IPv6 address")
    return _parse_userinfo(userinfo) if at else None, parse_host(host), _parse_port(port)


def _parse_userinfo(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    if "@" in text:
        raise InvalidUrlError("the URL has more than one @ before its path; write %40 in a user name or password")
    if _INVALID_IN_USERINFO.search(text):
        raise InvalidUrlError("the user name or password in the URL holds a character that must be percent-encoded")
    user, _, password = text.partition(":")
    try:
        user, password = unquote_to_bytes(user).decode(), unquote_to_bytes(password).decode()
    except UnicodeError:
        raise InvalidUrlError("the user name or password in the URL is not UTF-8") from None
    # RFC 7617, section 2: neither can be sent.
    if ":" in user:
        raise InvalidUrlError("the user name in the URL holds a colon, which HTTP cannot send")
    if _CONTROL.search(user + password):
        raise InvalidUrlError("the user name or password in the URL holds a control character")
    return user, password


def _parse_port(text: str) -> int | None:
    # RFC 3986, section 3.2.3: an empty port is the default one.
    if not text:
        return None
    found = _PORT.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= 65535:
        raise InvalidUrlError("the port of the URL is not a number from 1 to 65535")
    return int(found[1])


def _decode_host(text: str) -> str:
    if "%" not in text:
        return text
    if _INVALID_ESCAPE.search(text):
        raise InvalidUrlError("the host of the URL has an invalid percent escape")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise InvalidUrlError("the host of the URL is not UTF-8") from None


def _map_to_ascii(name: str) -> str:
    if len(name) > MAX_HOST_NAME_BYTES:
        raise InvalidUrlError(f"the host name of the URL is longer than {MAX_HOST_NAME_BYTES} characters")
    try:
        # STD 3 refuses the underscore, which hosts of buckets have; `_check_label` refuses the other characters.
        mapped = idna.uts46_remap(name, std3_rules=False)
        labels = [label if label.isascii() else idna.alabel(label).decode("ascii") for label in mapped.split(".")]
    # idna raises ValueError for code points that Python's Unicode tables do not know.
    except (UnicodeError, ValueError):
        raise InvalidUrlError("the host of the URL is not a valid internationalized name (IDNA)") from None
    return ".".join(labels)


def _check_label(label: str) -> None:
    if not label:
        raise InvalidUrlError("the host name of the URL has an empty label")
    if len(label) > 63:
        raise InvalidUrlError("the host name of the URL has a label longer than 63 characters")
    if not _LABEL.fullmatch(label):
        raise InvalidUrlError("the host name of the URL holds a character other than letters, digits, - and _")
    if label.startswith("xn--") and not _is_a_label(label):
        raise InvalidUrlError("the host name of the URL has a label that is not valid Punycode (IDNA)")


def _is_a_label(label: str) -> bool:
    # Accept the one encoding of a name that UTS 46 does not change. IDNA 2008 is stricter, but refuses emoji.
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        return (
            not decoded.isascii()
            and decoded.encode("punycode").decode("ascii") == label[4:]
            and idna.uts46_remap(decoded, std3_rules=False) == decoded
        )
    except (UnicodeError, ValueError, OverflowError):
        return False


def _parse_ipv4(text: str) -> str:
    if not _IPV4_ADDRESS.fullmatch(text) or any(int(number) > 255 for number in text.split(".")):
        raise InvalidUrlError(
            "the host of the URL ends with a number, so it must be an IPv4 address: four decimal numbers from 0 to "
            "255, without leading zeros and without a dot at the end, such as 192.0.2.1"
        )
    return text


def _parse_ipv6(text: str) -> str:
    if not text.endswith("]"):
        raise InvalidUrlError("the bracket around the IPv6 address of the URL is not closed")
    if "%" in text:
        raise InvalidUrlError("the IPv6 address of the URL has a zone or a percent escape; write it without")
    try:
        address = ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        raise InvalidUrlError("the brackets in the URL do not hold an IPv6 address") from None
    # RFC 5952, section 5. Not every version of Python writes the dotted quad.
    return str(address) if address.ipv4_mapped is None else f"::ffff:{address.ipv4_mapped}"


def _format_authority(scheme: str, host: str, port: int) -> str:
    host = format_host(host)
    return host if port == DEFAULT_PORTS[scheme] else f"{host}:{port}"


def _percent_encode(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))
