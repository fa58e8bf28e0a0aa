"""The response of `getImportFileData` in pieces."""

import json
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
from aiohttp import ClientError
from support.served_api import ServedApi

from downloadd.errors import StorageError
from downloadd.fronts.rocketchat.file_data import encode_file_data
from downloadd.import_operation import Channel, WorkspaceUser
from downloadd.imports.selection import FileData

IMPORTER = {"Authorization": "Bearer may-import"}


async def users(pages: Sequence[int], *, fails: bool = False) -> AsyncIterator[Sequence[tuple[WorkspaceUser, bool]]]:
    for page in pages:
        yield [(WorkspaceUser(user_id=f"{page}.{n}", username="u"), True) for n in range(page)]
    if fails:
        raise StorageError("damaged")


async def channels() -> AsyncIterator[Sequence[tuple[Channel, bool]]]:
    yield [(Channel(channel_id="C1", name="general"), False)]


@pytest.mark.parametrize("pages", [(), (1,), (2, 1, 3)])
async def test_the_pieces_are_one_object(pages: Sequence[int]) -> None:
    data = FileData(users=partial(users, pages), channels=channels, message_count=7)
    body = json.loads(b"".join([piece async for piece in encode_file_data(data)]))
    assert [user["user_id"] for user in body["users"]] == [f"{page}.{n}" for page in pages for n in range(page)]
    assert [(one["channel_id"], one["do_import"]) for one in body["channels"]] == [("C1", False)]
    assert (body["message_count"], body["success"]) == (7, True)


async def test_the_empty_content_is_that_of_the_specification(api: ServedApi) -> None:
    async with api.client.get("/api/v1/getImportFileData", headers=IMPORTER) as response:
        assert response.content_type == "application/json"
        assert await response.json() == {"users": [], "channels": [], "message_count": 0, "success": True}


async def test_a_failure_before_the_first_page_is_an_error_response(api: ServedApi) -> None:
    api.imports.data = FileData(users=partial(users, (), fails=True))
    async with api.client.get("/api/v1/getImportFileData", headers=IMPORTER) as response:
        assert (response.status, (await response.json())["success"]) == (500, False)


async def test_a_failure_later_aborts_the_connection(api: ServedApi) -> None:
    api.imports.data = FileData(users=partial(users, (1,), fails=True))
    async with api.client.get("/api/v1/getImportFileData", headers=IMPORTER) as response:
        with pytest.raises(ClientError):
            await response.read()
