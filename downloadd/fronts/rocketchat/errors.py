"""Errors of imports as responses of Rocket.Chat."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Final, TypeVar

from aiohttp import web

from downloadd.errors import (
    BodyTooSlowError,
    DownloadError,
    DownloadForbiddenError,
    InsufficientStorageError,
    NotFoundError,
    ShuttingDownError,
    StorageError,
    StoreUnavailableError,
)
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response, permission_missing_response
from downloadd.fronts.rocketchat.schemas import ImportErrorResponse
from downloadd.fronts.rocketchat.statuses import ERROR_TYPES
from downloadd.import_operation import ImportErrorCode
from downloadd.imports.refusal import ImportRefusedError, UnknownImporterError
from downloadd.users import PermissionMissingError

Endpoints = TypeVar("Endpoints")
Response = TypeVar("Response", bound=web.StreamResponse)

_OWN_RESPONSES: Final = (
    NotFoundError,
    InsufficientStorageError,
    StorageError,
    StoreUnavailableError,
    ShuttingDownError,
    BodyTooSlowError,
)
"""Errors that have the response of the rest of the API."""


def with_rocket_chat_errors(
    handler: Callable[[Endpoints, RequestContext], Awaitable[Response]],
) -> Callable[[Endpoints, RequestContext], Coroutine[Any, Any, Response | web.Response]]:
    """Return a handler that responds to errors of imports as Rocket.Chat does: with status 400, or 403."""

    @wraps(handler)
    async def handle(self: Endpoints, context: RequestContext) -> Response | web.Response:
        try:
            return await handler(self, context)
        except PermissionMissingError:
            return permission_missing_response()
        except DownloadForbiddenError:
            return error_response(
                "Server is not configured to allow downloading from URLs; start it with --allow-download",
                ImportErrorCode.WRONG_STATE,
            )
        except UnknownImporterError as error:
            known = ", ".join(error.known)
            return error_response(
                f"The importer ({error.key}) has no import class defined; use one of {known}.", error.code
            )
        except ImportRefusedError as error:
            return error_response(error.message, error.code)
        except _OWN_RESPONSES:
            raise
        except DownloadError as error:
            return error_response(error.detail, ImportErrorCode.INVALID_PARAMETER)

    return handle


def error_response(message: str, code: ImportErrorCode) -> web.Response:
    """Return a response with status 400."""
    error_type = ERROR_TYPES[code]
    return json_response(ImportErrorResponse(error=f"{message} [{error_type}]", error_type=error_type), status=400)
