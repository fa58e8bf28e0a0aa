"""TLS for the scripted origin, from a certificate authority of the test."""

import ssl

import trustme


class Authority:
    """Certificate authority in memory."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return the context of an origin with a certificate for these names and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
        return context

    def issue(self, *names: str) -> trustme.LeafCert:
        """Return a certificate for these names and addresses, with its key."""
        return self._ca.issue_cert(*names)

    @property
    def certificate(self) -> bytes:
        """Certificate of the authority in PEM."""
        return self._ca.cert_pem.bytes()

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context
