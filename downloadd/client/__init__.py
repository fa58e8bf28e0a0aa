"""A client of the daemon for Python programs: asynchronous and typed, for every call of the API.

    from downloadd.client import Client

    async with Client("http://127.0.0.1:8080/", token=token) as client:
        started = await client.files.downloads.fetch(
            directory="Downloads", download="https://files.example.com/data.csv", timeout=600
        )
        ended = await client.files.downloads.wait(started.download_id)

Answers are the structs that the daemon itself answers with. What it refuses is raised as an `ApiError` with the code of
the error table; what never reached it, as a `ConnectionLostError`.
"""

from downloadd.client.client import Client, Files
from downloadd.client.connection import ApiError, ClientError, ConnectionLostError, InvalidResponseError
from downloadd.client.downloads import Downloads, HistoryPage
from downloadd.client.events import Connected, Disconnected, Event, Reset
from downloadd.client.imports import Imports
from downloadd.errors import ErrorCode
from downloadd.fronts.rest.schemas import (
    ActiveEntry,
    BatchItem,
    BatchResponse,
    ErrorEntry,
    Health,
    HistoryEntry,
    Listing,
    StartResponse,
)
from downloadd.fronts.rocketchat.schemas import FileDataResponse, ImportProgress, OperationEntry, WaitingResponse
from downloadd.states import State

__all__ = [
    "ActiveEntry",
    "ApiError",
    "BatchItem",
    "BatchResponse",
    "Client",
    "ClientError",
    "Connected",
    "ConnectionLostError",
    "Disconnected",
    "Downloads",
    "ErrorCode",
    "ErrorEntry",
    "Event",
    "FileDataResponse",
    "Files",
    "Health",
    "HistoryEntry",
    "HistoryPage",
    "ImportProgress",
    "Imports",
    "InvalidResponseError",
    "Listing",
    "OperationEntry",
    "Reset",
    "StartResponse",
    "State",
    "WaitingResponse",
]
