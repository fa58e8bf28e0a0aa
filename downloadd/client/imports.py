"""Calls about imports: files that list many files to download."""

from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from downloadd.client.connection import Connection, InvalidResponseError, decode
from downloadd.client.downloads import parse_next_cursor
from downloadd.fronts.rocketchat.schemas import (
    CountResponse,
    CurrentOperation,
    FileDataResponse,
    ImportProgress,
    OperationEntry,
    PublicFileBody,
    SkippedItem,
    SkippedResponse,
    SuccessResponse,
    WaitingResponse,
)


class SkippedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Page of what an operation does not import."""

    skipped: list[SkippedItem]
    next: str | None
    """Cursor of the next page; None at the end."""


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

    async def download_files(
        self, *, operation: str | None = None, retry: bool = False, not_before: str | float | None = None
    ) -> int:
        """Start to download the pending files, and return their number.

        Args:
            operation: the import whose files are meant, or an earlier run of them; by default, those of all imports.
            retry: try files again that failed or were cancelled.
            not_before: the time before which no file starts, as of a download.

        Raises:
            ApiError, ConnectionLostError: It was refused, or there was no answer.
        """
        return await self._download("api/v1/downloadPendingFiles", operation, retry, not_before)

    async def download_avatars(
        self, *, operation: str | None = None, retry: bool = False, not_before: str | float | None = None
    ) -> int:
        """Start to download the pending avatars, and return their number; see `download_files`.

        Raises:
            ApiError, ConnectionLostError: It was refused, or there was no answer.
        """
        return await self._download("api/v1/downloadPendingAvatars", operation, retry, not_before)

    async def skipped(self, id: str, *, limit: int = 100, cursor: str | None = None) -> SkippedPage:
        """Return a page of what an operation does not import, in the order of the file.

        Raises:
            ApiError, ConnectionLostError: There is no such operation, or no answer.
        """
        query = {"limit": limit, "cursor": cursor}
        path = f"api/v1/imports/{quote(id, safe='')}/skipped"
        async with self._connection.send("GET", path, query=query) as response:
            page = decode(await response.read(), SkippedResponse)
            return SkippedPage(skipped=page.skipped, next=parse_next_cursor(response.headers.get("Link", "")))

    async def _download(self, path: str, operation: str | None, retry: bool, not_before: str | float | None) -> int:
        query = {"operation": operation, "retry": "true" if retry else None, "not_before": not_before}
        return (await self._connection.call(CountResponse, "POST", path, query=query)).count

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

    async def cancel(self, id: str, *, give_up: bool = False) -> OperationEntry:
        """Cancel an operation and its downloads; a finished one stays as it is.

        Args:
            id: the operation.
            give_up: give up the files that are not completed, so that they are never tried again.

        Raises:
            ApiError, ConnectionLostError: Its files are being downloaded by another one, or there was no answer.
        """
        path, query = f"api/v1/imports/{quote(id, safe='')}", {"give_up": "true" if give_up else None}
        return require_operation(await self._connection.call(CurrentOperation, "DELETE", path, query=query))


def require_operation(answer: CurrentOperation) -> OperationEntry:
    """Return the operation of an answer.

    Raises:
        InvalidResponseError: It has none.
    """
    if answer.operation is None:
        raise InvalidResponseError("the answer has no operation")
    return answer.operation
