"""Protocol of the users that are made without the configuration, and what users see of them.

Pure but for the random tokens: no I/O and no clock.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from downloadd.config import UserConfig
from downloadd.errors import InvalidParameterError, InvalidStateError, NotFoundError

USER_ID_PATTERN: Final = r"^(?!\.{1,2}$)[!-~]{1,128}$"
"""Ids of users that are made. Clients remove `.` and `..` from the path of a URL (RFC 3986, section 5.2.4)."""
EXPECTED_USER_ID: Final = "1 to 128 letters, digits and signs of ASCII, without spaces; not `.` and `..`."


class UserKind(StrEnum):
    """Place where a user is changed."""

    CONFIGURED = "configured"
    """`[[users]]` of the configuration."""
    MADE = "made"
    """Made by `downloadctl users` or the API, and changed by them."""
    FIRST = "first"
    """Made by the first start, and changed by `downloadctl users` or the API."""


class UserDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A user, without the token."""

    id: str
    permissions: tuple[str, ...]
    kind: UserKind


class NewUser(UserDescription, frozen=True, kw_only=True):
    """A user with a new token, which is shown once."""

    token: str

    def __repr__(self) -> str:
        """Return the fields without the token."""
        return f"NewUser(id={self.id!r}, permissions={self.permissions!r}, ...)"


class UserStore(Protocol):
    """Users that are made without the configuration. A change holds in the `KnownUsers` of this node on return.

    Raises:
        InvalidStateError: on a change, the id is taken, or the user is changed elsewhere.
        NotFoundError: on a change, there is no such user.
        StoreUnavailableError: the records cannot be used at the moment.
        StorageError: the state directory cannot be used.
    """

    async def create(self, id: str, permissions: Sequence[str]) -> NewUser:
        """Create a user, and return it with its token."""
        ...

    async def rotate(self, id: str) -> NewUser:
        """Give a user another token, and return it; the first user gets another id with it."""
        ...

    async def revoke(self, id: str) -> None:
        """Remove a user."""
        ...


def describe_user(user: UserConfig, kind: UserKind) -> UserDescription:
    """Return what is shown of a user."""
    return UserDescription(id=user.id, permissions=user.permissions, kind=kind)


def new_token() -> tuple[str, str]:
    """Return a random token, and its hash for the configuration."""
    token = secrets.token_urlsafe(32)
    return token, f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def make_user(id: str, permissions: Sequence[str]) -> tuple[UserConfig, NewUser]:
    """Return a user with a new token, as it is stored and as it is shown once."""
    token, token_hash = new_token()
    user = msgspec.convert({"id": id, "token_hash": token_hash, "permissions": tuple(permissions)}, type=UserConfig)
    return user, NewUser(id=id, permissions=user.permissions, kind=UserKind.MADE, token=token)


def check_user_id(id: str) -> None:
    """Check the id of a user that is to be made.

    Raises:
        InvalidParameterError: it cannot be used.
    """
    if not re.fullmatch(USER_ID_PATTERN, id):
        raise InvalidParameterError("id", f"must have {EXPECTED_USER_ID.removesuffix('.')}")


def taken_id(id: str) -> InvalidStateError:
    """Return the error for an id that another user has."""
    return InvalidStateError(f"there is a user {id} already; take another id, or rotate its token")


def unknown_user(id: str, place: str) -> NotFoundError:
    """Return the error for a user who is not in a place."""
    return NotFoundError(f"there is no user {id} in {place}")
