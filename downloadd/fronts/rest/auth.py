"""Who asks: a bearer token, or a user id with its token, to a user.

Tokens are known only by their SHA-256 and compared in constant time. A token in the query string is never looked at.
Pure: no I/O and no clock.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec
from multidict import CIMultiDictProxy

from downloadd.config import UserConfig
from downloadd.users import Permission, User


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    token_digest: bytes


_CREDENTIAL_FIELDS: Final = ("Authorization", "X-User-Id", "X-Auth-Token")
_IMPLIED_PERMISSIONS: Final = {Permission.VIEW_DOWNLOADS: Permission.DOWNLOAD}
_PLACEHOLDER_DIGEST: Final = bytes(hashlib.sha256().digest_size)


class Accounts:
    """The users who may call; `replace` takes a reloaded configuration."""

    def __init__(self, users: Sequence[UserConfig]) -> None:
        self.replace(users)

    def replace(self, users: Sequence[UserConfig]) -> None:
        """Knows these users from now on, and no others."""
        self._by_id = {user.id: _make_account(user) for user in users}

    def authenticate(self, headers: CIMultiDictProxy[str]) -> User | None:
        """The user whom the credentials name; None when they are missing, wrong, doubled or contradict each other."""
        bearers, ids, tokens = (headers.getall(name, ()) for name in _CREDENTIAL_FIELDS)
        user: User | None = None
        if bearers:
            user = self._find_by_bearer(bearers[0]) if len(bearers) == 1 else None
            if user is None:
                return None
        if ids or tokens:
            other = self._find_by_id_and_token(ids[0], tokens[0]) if len(ids) == len(tokens) == 1 else None
            if other is None or (user is not None and user.id != other.id):
                return None
            user = other
        return user

    def _find_by_bearer(self, field: str) -> User | None:
        # RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
        scheme, _, token = field.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        digest = _hash_token(token.strip())
        found: User | None = None
        # Every account is compared, so that the time says nothing about which one fits.
        for account in self._by_id.values():
            if hmac.compare_digest(account.token_digest, digest):
                found = account.user
        return found

    def _find_by_id_and_token(self, id: str, token: str) -> User | None:
        # The hash of nothing is well known: an empty token is none, whatever the configuration says.
        if not token:
            return None
        account = self._by_id.get(id)
        matches = hmac.compare_digest(
            _PLACEHOLDER_DIGEST if account is None else account.token_digest, _hash_token(token)
        )
        return account.user if account is not None and matches else None


def read_credentials(headers: CIMultiDictProxy[str]) -> tuple[str, ...]:
    """What is there of credentials, right or wrong; empty when there is nothing."""
    return tuple(value for name in _CREDENTIAL_FIELDS for value in headers.getall(name, ()))


def _hash_token(token: str) -> bytes:
    # Header fields come decoded as UTF-8 with surrogates for what is none.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _make_account(user: UserConfig) -> _Account:
    granted = set(user.permissions)
    granted.update(implied for implied, by in _IMPLIED_PERMISSIONS.items() if by in granted)
    return _Account(
        user=User(id=user.id, permissions=frozenset(granted)),
        token_digest=bytes.fromhex(user.token_hash.removeprefix("sha256:")),
    )
