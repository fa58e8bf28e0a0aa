"""TLS contexts of clients in the process."""

from functools import cache

from downloadd.policy.tls_contexts import TlsContexts


@cache
def system_tls() -> TlsContexts:
    """Return the contexts with the authorities of the system, whose certificates are read once: that takes 15 ms."""
    return TlsContexts()
