"""Calls about imports, against the API in this process."""

import pytest
from support.served_api import TOKEN, ServedApi

from downloadd.client import ApiError, Client, FileDataResponse, InvalidResponseError
from downloadd.client.imports import require_operation
from downloadd.fronts.rocketchat.schemas import CurrentOperation


@pytest.fixture
async def importer(api: ServedApi) -> Client:
    return Client(f"http://{api.server.host}:{api.server.port}", token="may-import")


async def test_an_upload_returns_its_operation(importer: Client) -> None:
    async with importer as client:
        assert await client.imports.current() is None
        operation = await client.imports.upload(importer_key="urls", file_name="l", file=b"https://a.example/f")
        assert operation.importer_key == "urls"
        assert await client.imports.current() == operation
        assert await client.imports.latest() == [operation]
        assert isinstance(await client.imports.data(), FileDataResponse)
        await client.imports.start(users={"all": True}, channels={"all": True})
        assert (await client.imports.download_files(), await client.imports.download_avatars()) == (0, 0)
        with pytest.raises(ApiError) as missing:
            await client.imports.cancel("nothing")
        assert missing.value.code == "NOT_FOUND"
        for give_up in (False, True):
            assert (await client.imports.cancel(operation.id, give_up=give_up)).id == operation.id


async def test_a_user_without_the_permission_is_refused(api: ServedApi) -> None:
    async with Client(f"http://{api.server.host}:{api.server.port}", token=TOKEN) as client:
        with pytest.raises(ApiError) as refused:
            await client.imports.current()
        assert (refused.value.code, refused.value.status) == ("error-unauthorized", 403)


def test_an_answer_without_an_operation_is_invalid() -> None:
    with pytest.raises(InvalidResponseError, match="no operation"):
        require_operation(CurrentOperation(operation=None, success=True))
