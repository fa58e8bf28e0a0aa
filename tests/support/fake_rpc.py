"""Methods and notifications of the RPC interface in memory, for tests of its wire formats."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from downloadd.events import DownloadChanged, DownloadEnded, Event
from downloadd.fronts.aria2.access.tokens import MULTICALL, take_token
from downloadd.fronts.aria2.calls import Call, Outcome
from downloadd.fronts.aria2.errors import METHOD_FAILED, RpcError
from downloadd.states import State
from downloadd.users import User

NOTIFICATIONS = ["aria2.onDownloadStart", "aria2.onDownloadPause"]


class FakeMethods:
    """Fake of the methods.

    `aria2.echo` returns its parameters, `aria2.large` a text of so many characters, `aria2.wait` ends when `release` is
    set, `aria2.break` raises an exception.

    Attributes:
        calls: all calls, in order.
        request_ids: the request id of each message.
        release: ends `aria2.wait`.
        waiting: the number of calls that wait.
    """

    def __init__(self, find_user: Callable[[str], User | None]) -> None:
        self.calls: list[Call] = []
        self.request_ids: list[str | None] = []
        self.release = asyncio.Event()
        self.waiting = 0
        self._find_user = find_user

    async def call_all(self, calls: Sequence[Call], *, request_id: str | None) -> list[Outcome]:
        self.calls.extend(calls)
        self.request_ids.append(request_id)
        return [await self._call(call) for call in calls]

    async def _call(self, call: Call) -> Outcome:
        token, params = take_token(call.params)
        user = self._find_user(token) if token else None
        try:
            return Outcome(result=await self._perform(call.method, params, user), user=user)
        except RpcError as error:
            return Outcome(error=error, user=user)

    async def _perform(self, method: str, params: Sequence[Any], user: User | None) -> Any:
        if method == "system.listNotifications":
            return NOTIFICATIONS
        if method == MULTICALL:
            return [await self._call_inner(each["methodName"], each.get("params", [])) for each in params[0]]
        if user is None:
            raise RpcError(METHOD_FAILED, "Unauthorized")
        match method:
            case "aria2.echo":
                return params
            case "aria2.large":
                return "x" * params[0]
            case "aria2.wait":
                self.waiting += 1
                await self.release.wait()
                self.waiting -= 1
                return "OK"
            case "aria2.break":
                raise RuntimeError("a defect")
        raise RpcError(METHOD_FAILED, f"No such method: {method}")

    async def _call_inner(self, method: str, params: list[Any]) -> Any:
        outcome = await self._call(Call(method=method, params=params))
        return [outcome.result] if outcome.error is None else outcome.error


class FakeNotification(msgspec.Struct, frozen=True, kw_only=True):
    """Notification about one download."""

    method: str
    gid: str


def fake_notification_of(event: Event) -> FakeNotification | None:
    """Return a notification with the id of the download as its gid; None for a download that waits."""
    match event:
        case DownloadChanged(snapshot=snapshot) if snapshot.download.state is not State.QUEUED:
            return FakeNotification(method="aria2.onDownloadStart", gid=snapshot.download.id)
        case DownloadEnded(download=download):
            return FakeNotification(method="aria2.onDownloadComplete", gid=download.id)
    return None
