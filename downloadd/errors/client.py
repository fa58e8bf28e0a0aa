"""Errors about the HTTP message of a client, before its meaning is examined.

Pure: no I/O and no clock.
"""

from downloadd.errors.base import DownloadError, Occasion


class MethodNotAllowedError(DownloadError, code="METHOD_NOT_ALLOWED"):
    """Path that takes only the methods in `allowed`."""

    status = 405
    title = "Method not allowed"
    description = "The path exists, but does not take this method"
    resolution = "Use a method that the Allow header names"
    advice = "`Allow` in the response lists the methods."
    # Each operation of the API document is a method that its path takes.
    occasions = frozenset[Occasion]()

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method} is not allowed here; use {' or '.join(allowed)}")
        self.allowed = allowed


class BodyTooLargeError(DownloadError, code="BODY_TOO_LARGE"):
    """Request body of more than `limit` bytes."""

    status = 413
    title = "Body too large"
    description = "The request body is larger than the limit"
    resolution = "Split the request into several smaller ones"
    advice = "Split a batch, or upload a large import file raw with `POST /api/v1/imports`."
    occasions = frozenset({Occasion.BODY})

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


class BodyTooSlowError(DownloadError, code="BODY_TOO_SLOW"):
    """Request body that arrived later than `max_wait` seconds plus one second per `min_rate` bytes."""

    status = 408
    title = "Body too slow"
    description = "The request body did not arrive, or arrived too slowly"
    resolution = "Send the body at once; check what lies between client and server"
    advice = "The daemon waits 60 s for a body, and one second more for each KiB; then it closes the connection."
    occasions = frozenset({Occasion.BODY, Occasion.IMPORT})

    def __init__(self, max_wait: float, min_rate: int) -> None:
        super().__init__(
            f"the body did not arrive within {max_wait:g} s and one second more for every {min_rate} bytes"
        )
        self.max_wait = max_wait
        self.min_rate = min_rate


class CrossSiteError(DownloadError, code="CROSS_SITE_REQUEST"):
    """Request that a page of another site sent; `reason` names both sites and says what to change if that is wrong."""

    status = 403
    title = "Request from another site"
    description = "A page of another web site sent the request from a user's browser"
    resolution = "Use the server's own page, or a program such as curl"
    advice = (
        "Pages of other sites may not send requests. If the page is that of the server itself, behind a proxy, "
        "`detail` names the field of the proxy or the setting that is wrong."
    )
    occasions = frozenset({Occasion.AUTHENTICATION})

    def __init__(self, reason: str) -> None:
        super().__init__(f"a page of another web site sent this request: {reason}")


class HostNotAllowedError(DownloadError, code="HOST_NOT_ALLOWED"):
    """Value of `Host`, or of `field`, that does not name this server; `reason` says why."""

    status = 421
    title = "Host not allowed"
    description = "The Host field of the request does not name this server"
    resolution = "Use the server's address, or ask the administrator to add the name to server.allowed_hosts"
    advice = "Add the name that clients use to `server.allowed_hosts`, and make the proxy forward it."
    occasions = frozenset({Occasion.ANY_REQUEST})

    def __init__(self, reason: str, *, field: str = "Host") -> None:
        super().__init__(f"{field}: {reason}")


class TooManyFailedLoginsError(DownloadError, code="TOO_MANY_FAILED_LOGINS"):
    """Address that must wait before its next login."""

    status = 429
    title = "Too many failed logins"
    description = "Too many requests with wrong credentials came from this address"
    resolution = "Wait for the time in Retry-After, and check the token"
    advice = "If all clients behind a proxy receive it, the proxy is not in `server.trusted_proxies`."
    occasions = frozenset({Occasion.AUTHENTICATION})
    sends_retry_after = True

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many requests with wrong credentials came from this address", retry_after=retry_after)


class HttpVersionNotSupportedError(DownloadError, code="HTTP_VERSION_NOT_SUPPORTED"):
    """Request in another HTTP `version` (as in its request line) than the server supports."""

    status = 505
    title = "HTTP version not supported"
    description = "The major version of HTTP in the request is not 1"
    resolution = "Use HTTP/1.1, or a proxy in front that translates"
    advice = "curl has `--http1.1`. Configure a proxy to send HTTP/1.1 to the daemon."
    # HTTP clients that read the API document send HTTP/1.1.
    occasions = frozenset[Occasion]()

    def __init__(self, version: str) -> None:
        super().__init__(f"HTTP/{version} is not supported here; use HTTP/1.1")
        self.version = version
