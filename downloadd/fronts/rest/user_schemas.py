"""Structs of the body and the answers about users; see `schemas`.

Pure: no I/O and no clock.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from downloadd.accounts.user_store import EXPECTED_USER_ID, USER_ID_PATTERN, UserKind
from downloadd.users import DEFAULT_PERMISSIONS, Permission

Kind = Annotated[
    UserKind,
    Meta(
        description="`configured` for one of `[[users]]`, which is changed only there; `made` for one that was made by "
        "`downloadctl users` or this API; `first` for the one that the first start made."
    ),
]


class UserBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/users`."""

    id: Annotated[str, Meta(pattern=USER_ID_PATTERN, description=EXPECTED_USER_ID)]
    permissions: Annotated[
        tuple[Permission, ...],
        Meta(min_length=1, description="The permissions; by default `download` and `view-downloads`."),
    ] = DEFAULT_PERMISSIONS


class UserEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A user, without the token."""

    id: str
    permissions: list[str]
    kind: Kind


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """All users."""

    users: list[UserEntry]


class UserTokenResponse(UserEntry, frozen=True, kw_only=True):
    """A user with a new token."""

    token: Annotated[str, Meta(description="The token, which is not shown again.")]
    success: bool
    message: str

    def __repr__(self) -> str:
        """Return the id, without the token."""
        return f"UserTokenResponse(id={self.id!r}, ...)"


class RevokedUserResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A user who was removed."""

    id: str
    success: bool
    message: str
