"""TLS for the API: one context for all listeners, whose certificate can be replaced while it is in use."""

import ssl
from pathlib import Path
from typing import Self

from downloadd.config import ServerConfig
from downloadd.errors import StartupError


class ServerTls:
    """Certificate of the API.

    Attributes:
        context: the context of the listeners.
    """

    def __init__(self, config: ServerConfig) -> None:
        """Read the certificate chain and its private key, both PEM, from `tls_cert` and `tls_key`. Blocks.

        Raises:
            StartupError: a file cannot be read, is not PEM, or the two do not belong together.
        """
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load(self.context, config)

    @classmethod
    def from_config(cls, config: ServerConfig) -> Self | None:
        """Return the certificate of the configuration; None if it names none. Blocks.

        Raises:
            StartupError: the certificate cannot be used.
        """
        return cls(config) if config.tls_cert else None

    def reload(self, config: ServerConfig) -> None:
        """Use the certificate of `config` from the next connection on. Blocks.

        Raises:
            StartupError: it cannot be used; the old one stays.
        """
        # A failure midway would leave a context that cannot do a handshake: try it on another one first.
        self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), config)
        self._load(self.context, config)

    def _load(self, context: ssl.SSLContext, config: ServerConfig) -> None:
        try:
            # Without a password callback, OpenSSL asks at the terminal for the password of an encrypted key.
            key = Path(config.tls_key) if config.tls_key else None
            context.load_cert_chain(Path(config.tls_cert), key, password=_no_password)
        except ssl.SSLError as error:
            raise StartupError(f"server.tls_cert or server.tls_key cannot be used: {_reason(error)}") from error
        except OSError as error:
            raise StartupError(f"server.tls_cert or server.tls_key cannot be read: {error.strerror}") from error
        except _EncryptedKeyError:
            raise StartupError("server.tls_key is encrypted; give the daemon a key without a password") from None


class _EncryptedKeyError(Exception):
    pass


def _no_password() -> str:
    raise _EncryptedKeyError


def _reason(error: ssl.SSLError) -> str:
    if not error.reason:
        return "it does not hold a certificate and key in PEM"
    return error.reason.replace("_", " ").lower()
