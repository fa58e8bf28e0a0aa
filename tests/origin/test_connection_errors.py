"""Errors of connections as `NetworkError`."""

import errno
import ssl
from collections.abc import Callable
from functools import partial

import pytest

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.connection_errors import (
    early_end_error,
    map_connect_error,
    map_handshake_error,
    map_lookup_error,
    map_transfer_error,
    surplus_error,
)
from downloadd.origin.message_head import MalformedResponseError, UnsupportedCodingError

KIND = NetworkErrorKind
SECRET = "https://someone:s3cret@files.example.com/?token=s3cret"


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, SECRET)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("mapped", "kind", "message"),
    [
        (map_lookup_error(), KIND.NAME, "name could not be resolved"),
        (
            map_connect_error(ConnectionRefusedError(errno.ECONNREFUSED, SECRET)),
            KIND.CONNECT,
            "failed: Connection refused",
        ),
        (map_connect_error(OSError(SECRET)), KIND.CONNECT, "no address of the host"),
        (map_connect_error(TimeoutError(errno.ETIMEDOUT, SECRET)), KIND.TIMEOUT, "failed: Connection timed out"),
        (map_connect_error(OSError(errno.EMFILE, SECRET)), KIND.PROTOCOL, "Too many open files"),
        (map_handshake_error(ssl.SSLEOFError(8, SECRET)), KIND.TLS, "closed the connection during the TLS handshake"),
        (map_handshake_error(ConnectionResetError(104, SECRET)), KIND.TLS, "closed the connection during the TLS"),
        (map_handshake_error(tls_error("WRONG_VERSION_NUMBER")), KIND.TLS, "does not speak TLS on this port"),
        (map_handshake_error(OSError(errno.EHOSTUNREACH, SECRET)), KIND.TLS, "No route to host"),
        (map_transfer_error(TimeoutError(), has_head=False), KIND.STALLED, "sent nothing within the stall timeout"),
        (map_transfer_error(TimeoutError(errno.ETIMEDOUT, SECRET), has_head=True), KIND.CUT, "Connection timed out"),
        (map_transfer_error(ConnectionResetError(104, SECRET), has_head=False), KIND.NO_RESPONSE, "reset by peer"),
        (map_transfer_error(ssl.SSLEOFError(8, SECRET), has_head=True), KIND.CUT, "the TLS connection was cut"),
        (
            map_transfer_error(tls_error("BAD_RECORD_MAC"), has_head=True),
            KIND.CUT,
            "TLS failed (bad record mac)",
        ),
        (
            map_transfer_error(MalformedResponseError("no field"), has_head=True),
            KIND.PROTOCOL,
            "HTTP: no field",
        ),
        (
            map_transfer_error(tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), has_head=False),
            KIND.TLS,
            "refuses the client certificate (certificate required); set client_certificate",
        ),
        (early_end_error(has_head=False), KIND.NO_RESPONSE, "closed the connection without a response"),
        (early_end_error(has_head=True), KIND.CUT, "ended before the last byte"),
        (surplus_error(), KIND.PROTOCOL, "more bytes than it had announced"),
    ],
)
def test_a_message_says_what_happened_and_no_secret(mapped: NetworkError, kind: NetworkErrorKind, message: str) -> None:
    assert mapped.kind is kind
    assert message in mapped.detail
    assert "s3cret" not in mapped.detail


@pytest.mark.parametrize(
    ("map_error", "error", "permanent"),
    [
        (map_handshake_error, tls_error("CERTIFICATE_VERIFY_FAILED"), True),
        (map_handshake_error, tls_error("SSLV3_ALERT_BAD_CERTIFICATE"), True),
        (partial(map_transfer_error, has_head=False), tls_error("TLSV1_ALERT_UNKNOWN_CA"), True),
        (partial(map_transfer_error, has_head=False), tls_error("BAD_RECORD_MAC"), False),
        (map_handshake_error, ssl.SSLEOFError(8, "x"), False),
        (partial(map_transfer_error, has_head=False), UnsupportedCodingError("x"), True),
        (partial(map_transfer_error, has_head=False), MalformedResponseError("x"), False),
        (map_connect_error, ConnectionRefusedError(errno.ECONNREFUSED, "x"), False),
    ],
)
def test_only_an_origin_that_is_not_accepted_is_a_permanent_error(
    map_error: Callable[[Exception], NetworkError], error: Exception, permanent: bool
) -> None:
    assert map_error(error).permanent is permanent


def test_only_bytes_behind_the_content_invalidate_the_part_file() -> None:
    assert surplus_error().invalidates_part
    assert not early_end_error(has_head=True).invalidates_part
