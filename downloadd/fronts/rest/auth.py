"""Authentication by a bearer token, or by a user id and its token.

Only the SHA-256 of a token is stored; digests are compared in constant time. A token in the query string is ignored.
Pure: no I/O and no clock.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec
from multidict import CIMultiDictProxy

from downloadd.config import UserConfig
from downloadd.users import User


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    user: User
    token_digest: bytes


_CREDENTIAL_FIELDS: Final = ("Authorization", "X-User-Id", "X-Auth-Token")
_PLACEHOLDER_DIGEST: Final = bytes(hashlib.sha256().digest_size)


class Accounts:
    """The users and the digests of their tokens."""

    def __init__(self, users: Sequence[UserConfig]) -> None:
        self.replace(users)

    def replace(self, users: Sequence[UserConfig]) -> None:
        """Replace all users, for a reloaded configuration."""
        self._by_id = {user.id: _make_account(user) for user in users}

    def authenticate(self, headers: CIMultiDictProxy[str]) -> User | None:
        """Return the user of the credentials; None when they are missing, wrong, repeated or contradictory."""
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

    def find_by_id(self, id: str) -> User | None:
        """Return the user of an id; None if there is none."""
        account = self._by_id.get(id)
        return None if account is None else account.user

    def token_digest(self, id: str) -> bytes:
        """Return the digest of the token of a user; that of nothing for an unknown id."""
        account = self._by_id.get(id)
        return _PLACEHOLDER_DIGEST if account is None else account.token_digest

    def find_by_token(self, token: str) -> User | None:
        """Return the user of a token; None when it is wrong or empty."""
        if not token:
            return None
        digest = _hash_token(token)
        found: User | None = None
        # Every account is compared, so that the time does not depend on the matching one.
        for account in self._by_id.values():
            if hmac.compare_digest(account.token_digest, digest):
                found = account.user
        return found

    def _find_by_bearer(self, field: str) -> User | None:
        # RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1).
        scheme, _, token = field.partition(" ")
        return self.find_by_token(token.strip()) if scheme.lower() == "bearer" else None

    def _find_by_id_and_token(self, id: str, token: str) -> User | None:
        # The digest of an empty string is well known: an empty token is refused, whatever the configuration says.
        if not token:
            return None
        account = self._by_id.get(id)
        matches = hmac.compare_digest(
            _PLACEHOLDER_DIGEST if account is None else account.token_digest, _hash_token(token)
        )
        return account.user if account is not None and matches else None


def read_credentials(headers: CIMultiDictProxy[str]) -> tuple[str, ...]:
    """Return all credentials, right or wrong; empty when there are none."""
    return tuple(value for name in _CREDENTIAL_FIELDS for value in headers.getall(name, ()))


def _hash_token(token: str) -> bytes:
    # aiohttp decodes fields as UTF-8 with surrogates for invalid bytes.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _make_account(user: UserConfig) -> _Account:
    return _Account(
        user=User(id=user.id, permissions=frozenset(user.permissions)),
        token_digest=bytes.fromhex(user.token_hash.removeprefix("sha256:")),
    )
