"""One route of the API."""

import msgspec
import pytest
from aiohttp import web

from downloadd.fronts.rest import contracts
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.route import Access, Route
from downloadd.users import Permission


async def handle(context: RequestContext) -> web.StreamResponse:
    return web.Response()


ROUTE = Route("GET", "/api/v1/downloads", Access.PUBLIC, handle, contracts.LISTING, "List all active downloads")


def test_a_route_is_neither_selected_by_a_parameter_nor_answers_head_unless_it_says_so() -> None:
    assert (ROUTE.selector, ROUTE.head) == ("", False)


def test_a_route_does_not_change() -> None:
    with pytest.raises(AttributeError):
        ROUTE.access = Access.AUTHENTICATED  # type: ignore[misc]


def test_access_without_a_permission_is_distinct_from_every_permission() -> None:
    # The router requires a permission if, and only if, the access is one.
    for access in Access:
        assert not isinstance(access, Permission)
        assert access.value not in {permission.value for permission in Permission}
    assert msgspec.structs.replace(ROUTE, access=Permission.DOWNLOAD).access is Permission.DOWNLOAD


def test_the_id_of_an_import_is_not_that_of_a_download() -> None:
    paths = ("/api/v1/imports/{id}", "/api/v1/imports/{id}/skipped", "/api/v1/imports", "/api/v1/downloads/{id}")
    routes = [msgspec.structs.replace(ROUTE, path=path) for path in paths]
    assert [route.is_of_import for route in routes] == [True, True, False, False]


def test_the_name_of_a_schedule_is_not_the_id_of_a_download() -> None:
    paths = ("/api/v1/schedules/{id}", "/api/v1/schedules/{id}/run", "/api/v1/schedules", "/api/v1/downloads/{id}")
    routes = [msgspec.structs.replace(ROUTE, path=path) for path in paths]
    assert [route.is_of_schedule for route in routes] == [True, True, False, False]
