"""Links to the content of one file that work without a token, for players and for the browser's own downloads.

A link holds a signature in place of a token: over the download, the user and the time at which it ends. The key is a
secret of this process with the digest of the user's token, so that links end with the process, and with a token that
is replaced.

Pure: no I/O and no clock.
"""

import base64
import hashlib
import hmac
from typing import Final

from downloadd.fronts.rest.auth import Accounts
from downloadd.users import User

LINK_SECONDS: Final = 6 * 3600
"""Seconds in which a link can be opened: a film is longer than one request of its player."""


class FileLinks:
    """Signatures of links."""

    def __init__(self, accounts: Accounts, secret: bytes) -> None:
        """`secret` are random bytes."""
        self._accounts = accounts
        self._secret = secret

    def sign(self, user: User, download_id: str, *, now: float) -> tuple[str, int]:
        """Return the ticket for a link of a user to the file of a download, and the Unix time at which it ends."""
        expires = int(now) + LINK_SECONDS
        name = base64.urlsafe_b64encode(user.id.encode()).decode().rstrip("=")
        return f"{expires}.{name}.{self._signature(user.id, download_id, expires)}", expires

    def find_user(self, ticket: str, download_id: str, *, now: float) -> User | None:
        """Return the user who made the link; None when the ticket is wrong or has ended."""
        expires, _, rest = ticket.partition(".")
        name, _, signature = rest.partition(".")
        if not (expires.isascii() and expires.isdecimal() and len(expires) <= 12) or not signature.isascii():
            return None
        try:
            user_id = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except ValueError:
            return None
        expected = self._signature(user_id, download_id, int(expires))
        if not hmac.compare_digest(expected, signature) or now >= int(expires):
            return None
        return self._accounts.find_by_id(user_id)

    def _signature(self, user_id: str, download_id: str, expires: int) -> str:
        key = self._secret + self._accounts.token_digest(user_id)
        message = f"{expires} {download_id} {user_id}".encode()
        return hmac.new(key, message, hashlib.sha256).hexdigest()
