"""Asynchronous, typed client of the daemon for Python programs, with a method for each call of the API.

    from downloadd.client import Client

    async with Client("http://127.0.0.1:8080/", token=token) as client:
        started = await client.files.downloads.fetch(
            directory="Downloads", download="https://files.example.com/data.csv", timeout=600
        )
        entry = await client.files.downloads.wait(started.download_id)

Methods return the structs of the API's schemas. A refused call raises `ApiError` with a code of the error table; a call
without an answer raises `ConnectionLostError`.
"""

from downloadd.bulk_actions import BulkAction
from downloadd.client.client import Client, Files
from downloadd.client.connection import ApiError, ClientError, ConnectionLostError, InvalidResponseError
from downloadd.client.downloads import Downloads, FilePage, HistoryPage
from downloadd.client.events import Connected, Disconnected, Event
from downloadd.client.file_content import FileContent
from downloadd.client.imports import Imports
from downloadd.client.schedules import ScheduleCalls
from downloadd.client.users import UserCalls
from downloadd.download_request import ChangeOptions, StartOptions
from downloadd.errors import ErrorCode
from downloadd.fronts.rest.bulk_schemas import BulkResponse, BulkResult
from downloadd.fronts.rest.event_types import Removed, Reset
from downloadd.fronts.rest.explain import AppliedQuota, ConditionalOutcome, ExplainResponse
from downloadd.fronts.rest.file_schemas import DirectoryFile, FileLink
from downloadd.fronts.rest.item_bodies import ProbeBody
from downloadd.fronts.rest.schedule_schemas import ScheduleBody, ScheduleChange, ScheduleEntry, ScheduleResponse
from downloadd.fronts.rest.schemas import (
    ActiveEntry,
    ActiveEntryResponse,
    BatchItem,
    BatchResponse,
    ErrorEntry,
    Health,
    HistoryEntry,
    HistoryEntryResponse,
    Listing,
    ProbeResponse,
    RemovalResponse,
    StartResponse,
)
from downloadd.fronts.rest.settings_schemas import SettingsResponse
from downloadd.fronts.rest.user_schemas import RevokedUserResponse, UserEntry, UserTokenResponse
from downloadd.fronts.rocketchat.schemas import FileDataResponse, ImportProgress, OperationEntry, WaitingResponse
from downloadd.request_fields import Credentials, Method
from downloadd.runtime_settings import CurrentSettings, LimitHours, RuntimeSettings
from downloadd.states import State
from downloadd.user_quota import DayUse, QuotaUse, UserQuotaUse

__all__ = [
    "ActiveEntry",
    "ActiveEntryResponse",
    "ApiError",
    "AppliedQuota",
    "BatchItem",
    "BatchResponse",
    "BulkAction",
    "BulkResponse",
    "BulkResult",
    "ChangeOptions",
    "Client",
    "ClientError",
    "ConditionalOutcome",
    "Connected",
    "ConnectionLostError",
    "Credentials",
    "CurrentSettings",
    "DayUse",
    "DirectoryFile",
    "Disconnected",
    "Downloads",
    "ErrorCode",
    "ErrorEntry",
    "Event",
    "ExplainResponse",
    "FileContent",
    "FileDataResponse",
    "FileLink",
    "FilePage",
    "Files",
    "Health",
    "HistoryEntry",
    "HistoryEntryResponse",
    "HistoryPage",
    "ImportProgress",
    "Imports",
    "InvalidResponseError",
    "LimitHours",
    "Listing",
    "Method",
    "OperationEntry",
    "ProbeBody",
    "ProbeResponse",
    "QuotaUse",
    "RemovalResponse",
    "Removed",
    "Reset",
    "RevokedUserResponse",
    "RuntimeSettings",
    "ScheduleBody",
    "ScheduleCalls",
    "ScheduleChange",
    "ScheduleEntry",
    "ScheduleResponse",
    "SettingsResponse",
    "StartOptions",
    "StartResponse",
    "State",
    "UserCalls",
    "UserEntry",
    "UserQuotaUse",
    "UserTokenResponse",
    "WaitingResponse",
]
