"""Contracts of the requests about users; see `contracts`."""

from typing import Final

from downloadd.errors import InvalidStateError, NotFoundError, Occasion, StorageError, codes_at
from downloadd.fronts.rest.contract import Contract, ResponseSpec
from downloadd.fronts.rest.user_schemas import RevokedUserResponse, UserBody, Users, UserTokenResponse

_READ_ERRORS: Final = (*codes_at(Occasion.QUERY), *codes_at(Occasion.READ), StorageError.code)
_CHANGE_ERRORS: Final = (*_READ_ERRORS, InvalidStateError.code, NotFoundError.code)

USERS: Final = Contract(
    response=ResponseSpec(description="All users, those of the configuration first", types=(Users,)),
    errors=_READ_ERRORS,
)
CREATE_USER: Final = Contract(
    body=UserBody,
    response=ResponseSpec(
        status=201, description="The user with its token, on stable storage", types=(UserTokenResponse,)
    ),
    errors=(*_READ_ERRORS, *codes_at(Occasion.BODY), InvalidStateError.code),
)
ROTATE_USER: Final = Contract(
    response=ResponseSpec(description="The user with its new token", types=(UserTokenResponse,)),
    errors=_CHANGE_ERRORS,
)
REVOKE_USER: Final = Contract(
    response=ResponseSpec(description="The user was removed", types=(RevokedUserResponse,)), errors=_CHANGE_ERRORS
)
