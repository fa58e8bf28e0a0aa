"""TLS of the connections that the program opens: one set of rules on every version of Python.

`ssl.create_default_context` became stricter with Python 3.13 (`VERIFY_X509_STRICT`): it refuses certificates of private
authorities that curl and browsers accept, such as those without an authority key identifier.
"""

import ssl
from collections.abc import Iterable
from typing import Final

VERIFY_FLAGS: Final = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
"""Rules for chains of certificates, those of curl: each certificate in the store is a trust anchor, also one that is
not self-signed, and the syntax of RFC 5280 is not enforced to the letter."""

_NOT_TRUSTED: Final = frozenset({2, 18, 19, 20, 21, 27})
"""X509_V_ERR_* of chains without trust anchor: UNABLE_TO_GET_ISSUER_CERT, DEPTH_ZERO_SELF_SIGNED_CERT,
SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE, CERT_UNTRUSTED."""
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_OLD_PROTOCOL: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})
_REFUSED_CLIENT: Final = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    }
)
"""Alerts of servers that require another client certificate (RFC 8446, section 6.2)."""
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})


def make_client_context(ca_files: Iterable[str] = ()) -> ssl.SSLContext:
    """Return a context that trusts the authorities of the system, and those in `ca_files`, each a PEM file.

    Certificate and name of the server are verified. The system's authorities are those of OpenSSL, which
    `SSL_CERT_FILE` and `SSL_CERT_DIR` replace. Blocks, for about 20 ms: it parses every certificate.

    Raises:
        ValueError: a file cannot be used; says which and why.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags = VERIFY_FLAGS
    context.set_alpn_protocols(["http/1.1"])
    context.load_default_certs()
    for file in ca_files:
        _load_authorities(context, file)
    return context


def check_ca_file(file: str) -> None:
    """Raise an error unless a file holds certificates in PEM. Blocks.

    Raises:
        ValueError: it cannot be used; says why.
    """
    _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), file)


def load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load the certificate that a context presents to servers that ask for one. Blocks.

    Args:
        context: a context for connections to servers.
        certificate: PEM file with the certificate chain.
        key: PEM file with the private key; "" if the other file holds it.

    Raises:
        ValueError: a file cannot be used; says which and why.
    """
    files = certificate if not key else f"{certificate} or {key}"
    try:
        # Without a password callback, OpenSSL asks at the terminal for the password of an encrypted key.
        context.load_cert_chain(certificate, key or None, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{files}: the key does not belong to the certificate") from error
        raise ValueError(f"{files}: expected a certificate and its private key in PEM") from error
    except OSError as error:
        raise ValueError(f"{files}: cannot be read: {error.strerror or error}") from error
    except _EncryptedKeyError:
        raise ValueError(f"{key or certificate}: the key is encrypted; use one without a password") from None


def check_client_certificate(certificate: str, key: str) -> None:
    """Raise an error unless two files hold a certificate and its key; see `load_client_certificate`. Blocks.

    Raises:
        ValueError: they cannot be used; says why.
    """
    load_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)


def describe_tls_error(error: ssl.SSLError) -> str:
    """Return the cause of a failed handshake, and what to do about it."""
    # Only the errors of OpenSSL itself have these attributes.
    code = getattr(error, "verify_code", None)
    if code is None:
        return _describe_protocol_error(getattr(error, "reason", None) or "")
    cause = str(getattr(error, "verify_message", "")).rstrip(".")
    if code in _NOT_TRUSTED:
        return f"the certificate is not trusted ({cause}); add its authority to downloads.ca_file"
    if code == _EXPIRED:
        return f"the certificate is out of date ({cause}); the server needs a new one, or the local clock is wrong"
    if code == _NOT_YET_VALID:
        return f"the certificate is not valid yet ({cause}); check the local clock"
    if code in _OTHER_NAME:
        return f"the certificate is for another host ({cause}); use a name that the certificate has"
    return f"the certificate is not valid ({cause})"


def is_client_refused(error: ssl.SSLError) -> bool:
    """Return True if the server refuses the client certificate, or its absence.

    With TLS 1.3 this is known only after the handshake, at the first read.
    """
    return getattr(error, "reason", None) in _REFUSED_CLIENT


def _describe_protocol_error(reason: str) -> str:
    if reason in _REFUSED_CLIENT:
        alert = reason.partition("_ALERT_")[2].replace("_", " ").lower()
        return f"the server refuses the client certificate ({alert}); set client_certificate for the host in [[hosts]]"
    if reason in _OLD_PROTOCOL:
        return "the server supports no version of TLS that is accepted: 1.2 and later, or min_tls_version of [[hosts]]"
    if reason in _NO_TLS:
        return "the server does not speak TLS on this port"
    return f"TLS failed ({reason.replace('_', ' ').lower()})" if reason else "TLS failed"


class _EncryptedKeyError(Exception):
    pass


def _no_password() -> str:
    raise _EncryptedKeyError


def _load_authorities(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        if error.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
            raise ValueError(f"{file}: no certificate in it; expected PEM") from error
        raise ValueError(f"{file}: a certificate in it is damaged, or not PEM") from error
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror or error}") from error
    # The file may hold revocation lists alone.
    if context.cert_store_stats()["x509"] == 0:
        raise ValueError(f"{file}: no certificate in it; expected PEM")
