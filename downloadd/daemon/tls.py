"""TLS for the API: one context for all listeners, whose certificate can be exchanged while it is in use."""

import ssl
from pathlib import Path
from typing import Self

from downloadd.errors import StartupError


class ServerTls:
    """The certificate that the API shows, with the context that shows it.

    Attributes:
        context: for the listeners.
    """

    def __init__(self, cert: str, key: str) -> None:
        """Reads a certificate chain and its private key, both PEM; an empty `key` means the file of `cert`. Blocks.

        Raises:
            StartupError: a file cannot be read, is no PEM, or the two do not belong together.
        """
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load(self.context, cert, key)

    @classmethod
    def from_config(cls, cert: str, key: str) -> Self | None:
        """None without a certificate."""
        return cls(cert, key) if cert else None

    def reload(self, cert: str, key: str) -> None:
        """Shows another certificate from the next connection on. Blocks.

        Raises:
            StartupError: as at the start; the old one stays then.
        """
        # What is half read would leave a context that can shake no hands.
        self._load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), cert, key)
        self._load(self.context, cert, key)

    def _load(self, context: ssl.SSLContext, cert: str, key: str) -> None:
        try:
            # Without a password callback, an encrypted key would be asked for at the terminal.
            context.load_cert_chain(Path(cert), Path(key) if key else None, password=_no_password)
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
    words = (error.reason or "no PEM certificate and key").replace("_", " ").lower()
    return words if error.reason else "it holds no PEM certificate and key"
