"""Calls about imports: files that name many files."""

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from downloadd.client.connection import Connection, InvalidResponseError, decode
from downloadd.fronts.rocketchat.schemas import (
    CountResponse,
    CurrentOperation,
    FileDataResponse,
    ImportProgress,
    OperationEntry,
    PublicFileBody,
    SuccessResponse,
    WaitingResponse,
)


class _WaitingOnly(msgspec.Struct):
    waiting: bool = False


class Imports:
    """What can be asked about imports."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def upload(self, *, importer_key: str, file_name: str, file: bytes | AsyncIterable[bytes]) -> OperationEntry:
        """Uploads an export as it is; `importer_key` is the key of an importer.

        Raises:
            ApiError, ConnectionLostError: it is refused, or nobody answers.
        """
        answer = await self._connection.call(
            CurrentOperation,
            "POST",
            "api/v1/imports",
            query={"importerKey": importer_key, "fileName": file_name},
            body=file,
            fields={"Content-Type": "application/octet-stream"},
        )
        return _require_operation(answer)

    async def fetch(self, *, importer_key: str, file_url: str) -> None:
        """Lets the daemon fetch an export that lies on a server.

        Raises:
            ApiError, ConnectionLostError: it is refused, or nobody answers.
        """
        body = PublicFileBody(file_url=file_url, importer_key=importer_key)
        await self._connection.call(SuccessResponse, "POST", "api/v1/downloadPublicImportFile", json=body)

    async def data(self) -> FileDataResponse | WaitingResponse:
        """What is in the file: users, channels and the number of messages; `WaitingResponse` while it is being read.

        Raises:
            ApiError, ConnectionLostError: there is none, it cannot be read, or nobody answers.
        """
        async with self._connection.send("GET", "api/v1/getImportFileData") as response:
            body = await response.read()
        return decode(body, WaitingResponse) if decode(body, _WaitingOnly).waiting else decode(body, FileDataResponse)

    async def progress(self) -> ImportProgress:
        """How far the newest operation has come.

        Raises:
            ApiError, ConnectionLostError: there is none, or nobody answers.
        """
        return await self._connection.call(ImportProgress, "GET", "api/v1/getImportProgress")

    async def start(
        self, *, users: Mapping[str, Any] | Sequence[Any], channels: Mapping[str, Any] | Sequence[Any]
    ) -> None:
        """Makes the files of a selection pending: `{"all": True}`, `{"list": [<id>, …]}`, or the list of `data`.

        Raises:
            ApiError, ConnectionLostError: it is refused, or nobody answers.
        """
        selection = {"input": {"users": users, "channels": channels}}
        await self._connection.call(SuccessResponse, "POST", "api/v1/startImport", json=selection)

    async def download_files(self) -> int:
        """Starts to download the pending files; how many there are.

        Raises:
            ApiError, ConnectionLostError: it is refused, or nobody answers.
        """
        return (await self._connection.call(CountResponse, "POST", "api/v1/downloadPendingFiles")).count

    async def download_avatars(self) -> int:
        """Starts to download the pictures of users; how many there are.

        Raises:
            ApiError, ConnectionLostError: it is refused, or nobody answers.
        """
        return (await self._connection.call(CountResponse, "POST", "api/v1/downloadPendingAvatars")).count

    async def current(self) -> OperationEntry | None:
        """The newest operation.

        Raises:
            ApiError, ConnectionLostError: nobody answers.
        """
        return (await self._connection.call(CurrentOperation, "GET", "api/v1/getCurrentImportOperation")).operation

    async def latest(self) -> list[OperationEntry]:
        """The 20 operations that were updated last.

        Raises:
            ApiError, ConnectionLostError: nobody answers.
        """
        return await self._connection.call(list[OperationEntry], "GET", "api/v1/getLatestImportOperations")

    async def cancel(self, id: str) -> OperationEntry:
        """Ends an operation and its downloads.

        Raises:
            ApiError, ConnectionLostError: it cannot be, or nobody answers.
        """
        path = f"api/v1/imports/{quote(id, safe='')}"
        return _require_operation(await self._connection.call(CurrentOperation, "DELETE", path))


def _require_operation(answer: CurrentOperation) -> OperationEntry:
    if answer.operation is None:
        raise InvalidResponseError("the answer names no operation")
    return answer.operation
