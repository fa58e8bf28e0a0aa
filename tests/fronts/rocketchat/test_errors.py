"""Errors of imports as responses."""

import json
from unittest.mock import MagicMock

import pytest
from aiohttp import web

from downloadd.errors import (
    DownloadForbiddenError,
    InvalidParameterError,
    NotFoundError,
    StorageError,
    StoreUnavailableError,
)
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import permission_missing_response
from downloadd.fronts.rocketchat.errors import with_rocket_chat_errors
from downloadd.import_operation import ImportErrorCode
from downloadd.imports.refusal import ImportRefusedError, UnknownImporterError
from downloadd.users import PermissionMissingError


class Endpoints:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    @with_rocket_chat_errors
    async def handle(self, context: RequestContext) -> web.Response:
        if self._error is not None:
            raise self._error
        return web.Response(text="fine")


async def respond(error: Exception | None) -> web.Response:
    return await Endpoints(error).handle(MagicMock())


async def test_a_response_passes_unchanged() -> None:
    assert (await respond(None)).text == "fine"


@pytest.mark.parametrize(
    ("error", "message", "error_type"),
    [
        (ImportRefusedError("too long", ImportErrorCode.FILE_TOO_LARGE), "too long", "error-file-too-large"),
        (ImportRefusedError("no zip"), "no zip", "error-invalid-file"),
        (
            UnknownImporterError("hipchat", ("slack", "csv")),
            "The importer (hipchat) has no import class defined; use one of slack, csv.",
            "error-importer-not-defined",
        ),
        (
            DownloadForbiddenError(),
            "Server is not configured to allow downloading from URLs; start it with --allow-download",
            "error-import-operation-invalid",
        ),
        (InvalidParameterError("x", "wrong"), InvalidParameterError("x", "wrong").detail, "error-invalid-params"),
    ],
)
async def test_a_refusal_is_a_400_with_the_code_in_brackets(error: Exception, message: str, error_type: str) -> None:
    response = await respond(error)
    assert response.status == 400
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "success": False,
        "error": f"{message} [{error_type}]",
        "errorType": error_type,
    }


async def test_a_missing_permission_is_the_403_of_the_rest_of_the_api() -> None:
    response = await respond(PermissionMissingError())
    assert (response.status, response.body) == (403, permission_missing_response().body)


@pytest.mark.parametrize("error", [NotFoundError("x"), StorageError("x"), StoreUnavailableError("x")])
async def test_errors_of_the_rest_of_the_api_are_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await respond(error)
