"""Calls about imports: files that list many files to download."""

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
    """Calls about imports."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def upload(self, *, importer_key: str, file_name: str, file: bytes | AsyncIterable[bytes]) -> OperationEntry:
        """Upload an export unchanged; `importer_key` is the key of an importer.

        Raises:
            ApiError, ConnectionLostError: It was refused, or there was no answer.
        """
        answer = await self._connection.call(
            CurrentOperation,
            "POST",
            "api/v1/imports",
            query={"importerKey": importer_key, "fileName": file_name},
            body=file,
            fields={"Content-Type": "application/octet-stream"},
        )
        return require_operation(answer)

    async def fetch(self, *, importer_key: str, file_url: str) -> None:
        """Make the daemon download an export from a server.

        Raises:
            ApiError, ConnectionLostError: It was refused, or there was no answer.
        """
        body = PublicFileBody(file_url=file_url, importer_key=importer_key)
        await self._connection.call(SuccessResponse, "POST", "api/v1/downloadPublicImportFile", json=body)

    async def data(self) -> FileDataResponse | WaitingResponse:
        """Return the users, channels and number of messages of the file, or `WaitingResponse` while it is being read.

        Raises:
            ApiError, ConnectionLostError: There is no file, it cannot be read, or there was no answer.
        """
        async with self._connection.send("GET", "api/v1/getImportFileData") as response:
            body = await response.read()
        return decode(body, WaitingResponse) if decode(body, _WaitingOnly).waiting else decode(body, FileDataResponse)

    async def progress(self) -> ImportProgress:
        """Return the progress of the newest operation.

        Raises:
            ApiError, ConnectionLostError: There is no operation, or no answer.
        """
        return await self._connection.call(ImportProgress, "GET", "api/v1/getImportProgress")

    async def start(
        self, *, users: Mapping[str, Any] | Sequence[Any], channels: Mapping[str, Any] | Sequence[Any]
    ) -> None:
        """Make the files of a selection pending: `{"all": True}`, `{"list": [<id>, …]}`, or the list of `data`.

        Raises:
            ApiError, ConnectionLostError: It was refused, or there was no answer.
        """
        selection = {"input": {"users": users, "channels": channels}}
        await self._connection.call(SuccessResponse, "POST", "api/v1/startImport", json=selection)

    async def download_files(self) -> int:
        """Start to download the pending files, and return their number.

        Raises:
            ApiError, ConnectionLostError: It was refused, or there was no answer.
        """
        return (await self._connection.call(CountResponse, "POST", "api/v1/downloadPendingFiles")).count

    async def download_avatars(self) -> int:
        """Start to download the pending avatars, and return their number.

        Raises:
            ApiError, ConnectionLostError: It was refused, or there was no answer.
        """
        return (await self._connection.call(CountResponse, "POST", "api/v1/downloadPendingAvatars")).count

    async def current(self) -> OperationEntry | None:
        """Return the newest operation.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return (await self._connection.call(CurrentOperation, "GET", "api/v1/getCurrentImportOperation")).operation

    async def latest(self) -> list[OperationEntry]:
        """Return the 20 operations that were updated last.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return await self._connection.call(list[OperationEntry], "GET", "api/v1/getLatestImportOperations")

    async def cancel(self, id: str) -> OperationEntry:
        """Cancel an operation and its downloads.

        Raises:
            ApiError, ConnectionLostError: Its status does not allow it, or there was no answer.
        """
        path = f"api/v1/imports/{quote(id, safe='')}"
        return require_operation(await self._connection.call(CurrentOperation, "DELETE", path))


def require_operation(answer: CurrentOperation) -> OperationEntry:
    """Return the operation of an answer.

    Raises:
        InvalidResponseError: It has none.
    """
    if answer.operation is None:
        raise InvalidResponseError("the answer has no operation")
    return answer.operation
