"""Responses: their fields, statuses and bodies."""

import json
from typing import Any

import pytest
from aiohttp import web

from downloadd.errors import BodyTooSlowError, DownloadError, MethodNotAllowedError, NotFoundError, QueueFullError
from downloadd.fronts.rest.responses import (
    COMMON_FIELDS,
    error_response,
    forbidden_response,
    json_response,
    permission_missing_response,
    unauthorized_response,
)
from downloadd.fronts.rest.schemas import Health

MISSING = "User does not have the permissions required for this action [error-unauthorized]"


def body_of(response: web.Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (unauthorized_response(), 401, {"success": False, "error": "unauthorized"}),
        (permission_missing_response(), 403, {"success": False, "error": MISSING}),
        (forbidden_response(), 403, {"success": False, "error": "DOWNLOAD_FORBIDDEN"}),
        (json_response(Health(status="ok", version="1")), 200, {"status": "ok", "version": "1", "storage": "ok"}),
        (json_response(b'{"a":1}', status=201), 201, {"a": 1}),
    ],
    ids=["unauthorized", "permission", "forbidden", "struct", "bytes"],
)
def test_a_response_has_its_status_its_body_and_the_common_fields(
    response: web.Response, status: int, body: dict[str, Any]
) -> None:
    assert (response.status, body_of(response)) == (status, body)
    assert response.headers["Content-Type"] == "application/json"
    assert [name for name, value in COMMON_FIELDS if response.headers[name] != value] == []


def test_missing_credentials_get_a_challenge() -> None:
    assert unauthorized_response().headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("error", "status", "fields"),
    [
        (NotFoundError("x"), 404, {}),
        (QueueFullError(1), 429, {"Retry-After": "30"}),
        (MethodNotAllowedError("PUT", ("GET", "HEAD")), 405, {"Allow": "GET, HEAD"}),
    ],
    ids=["plain", "retry-after", "allow"],
)
def test_an_error_has_the_status_and_fields_of_its_code(
    error: DownloadError, status: int, fields: dict[str, str]
) -> None:
    response = error_response(error)
    assert (response.status, body_of(response)["error"], body_of(response)["success"]) == (status, error.code, False)
    assert {name: response.headers.get(name) for name in fields} == fields


def test_the_connection_of_a_body_that_is_too_slow_is_closed() -> None:
    assert error_response(BodyTooSlowError(60, 1024)).keep_alive is False
    assert error_response(NotFoundError("x")).keep_alive is not False


def test_a_location_and_a_link_are_fields() -> None:
    response = json_response(b"{}", location="/d", link='</n>; rel="next"')
    assert (response.headers["Location"], response.headers["Link"]) == ("/d", '</n>; rel="next"')


def test_a_request_id_is_part_of_the_body_where_it_is_given() -> None:
    assert body_of(error_response(NotFoundError("x"), request_id="abc"))["request_id"] == "abc"
    assert "request_id" not in body_of(error_response(NotFoundError("x")))
