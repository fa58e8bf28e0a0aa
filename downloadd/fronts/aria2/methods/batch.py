"""Calls that are performed together, in order; neighbours that add downloads are started in one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from downloadd.download import Download
from downloadd.errors import DownloadError, InternalError
from downloadd.fronts.aria2.access.tokens import take_token
from downloadd.fronts.aria2.calls import Call, EncodedList, Outcome
from downloadd.fronts.aria2.errors import ErrorText, RpcError, make_error, refuse, translate_error
from downloadd.fronts.aria2.methods.adding import Addition, make_result
from downloadd.fronts.aria2.methods.context import Context, Services
from downloadd.fronts.aria2.methods.method_table import METHODS, NAME_LISTS, AddingMethod, Method
from downloadd.fronts.aria2.methods.parameters import Parameters
from downloadd.states import State
from downloadd.users import PermissionMissingError, User

log = structlog.get_logger()

MAX_STARTS: Final = 10_000
"""Downloads of several calls that are started together; a single Metalink may have as many."""
MAX_LISTED: Final = 50_000
"""Rows of the lists in one batch, after which further calls are refused; they are in memory together."""
CALLS_PER_TURN: Final = 50
"""Calls that are performed before the event loop continues with other work."""

Authenticate = Callable[[str], User | None]
"""Function that returns the user of a token; None if it is wrong."""


class _Started(msgspec.Struct, frozen=True, kw_only=True):
    """Call whose downloads are to be started."""

    index: int
    method: str
    context: Context
    addition: Addition


class Batch:
    """One batch of calls, which is performed once."""

    def __init__(self, services: Services, authenticate: Authenticate, *, request_id: str | None) -> None:
        """Take the parts of the daemon.

        Args:
            services: what methods work with.
            authenticate: returns the user of a token; None if it is wrong.
            request_id: id of the request in the log.
        """
        self._services = services
        self._authenticate = authenticate
        self._request_id = request_id
        self._users: dict[str, User | None] = {}
        self._outcomes: list[Outcome] = []
        self._additions: list[_Started] = []
        self._listed = 0

    async def perform(self, calls: Sequence[Call | RpcError]) -> list[Outcome]:
        """Perform the calls and return the outcome of each; an error stands for a call that cannot be performed."""
        self._outcomes = [Outcome() for _ in calls]
        for index, call in enumerate(calls):
            if index % CALLS_PER_TURN == CALLS_PER_TURN - 1:
                await asyncio.sleep(0)
            if isinstance(call, RpcError):
                self._outcomes[index] = Outcome(error=call)
            elif call.method in NAME_LISTS:
                self._outcomes[index] = Outcome(result=list(NAME_LISTS[call.method]), user=self._find_user(call))
            else:
                await self._perform_one(index, call)
        await self._start_additions()
        return self._outcomes

    async def _perform_one(self, index: int, call: Call) -> None:
        user = self._find_user(call)
        if user is None:
            self._outcomes[index] = Outcome(error=make_error(ErrorText.UNAUTHORIZED))
            return
        context = Context(services=self._services, user=user, request_id=self._request_id)
        try:
            method = _find_method(call.method, user)
            parameters = Parameters(take_token(call.params)[1])
            if isinstance(method, AddingMethod):
                addition = await method.prepare(context, parameters)
                await self._append(_Started(index=index, method=call.method, context=context, addition=addition))
                return
            await self._start_additions()
            if self._listed > MAX_LISTED:
                raise refuse(f"The calls before this one list more than {MAX_LISTED} downloads; send it on its own")
            result = await method.perform(context, parameters)
            self._listed += len(result) if isinstance(result, list | EncodedList) else 0
            self._outcomes[index] = Outcome(result=result, user=user)
        except Exception as error:
            self._outcomes[index] = Outcome(error=self._explain(error, call.method), user=user)

    def _find_user(self, call: Call) -> User | None:
        token, _ = take_token(call.params)
        if token is None:
            return None
        # A batch has thousands of calls, and few tokens.
        if token not in self._users:
            self._users[token] = self._authenticate(token)
        return self._users[token]

    async def _append(self, started: _Started) -> None:
        """Add the downloads of a call to those that are started together, if they are of the same user."""
        waiting = sum(len(each.addition.requests) for each in self._additions)
        is_same = not self._additions or self._additions[0].context.user == started.context.user
        if not is_same or waiting + len(started.addition.requests) > MAX_STARTS:
            await self._start_additions()
        self._additions.append(started)

    async def _start_additions(self) -> None:
        """Start the downloads of the calls that wait for it."""
        additions, self._additions = self._additions, []
        if not additions:
            return
        try:
            await self._start(additions)
        except PermissionMissingError as error:
            if len(additions) == 1:
                self._fail(additions, error)
                return
            # One directory that the user may not use must not refuse the calls for others.
            for started in additions:
                self._additions = [started]
                await self._start_additions()
        except Exception as error:
            self._fail(additions, error)

    async def _start(self, additions: Sequence[_Started]) -> None:
        context = additions[0].context
        requests = [request for started in additions for request in started.addition.requests]
        result = await self._services.service.start(context.user, requests, request_id=self._request_id)
        downloads = iter(result.downloads)
        refused: list[Download] = []
        for started in additions:
            own = [next(downloads) for _ in started.addition.requests]
            try:
                outcome = Outcome(result=make_result(started.addition, own), user=context.user)
            except RpcError as error:
                outcome = Outcome(error=error, user=context.user)
                refused += [download for download in own if download.state is State.FAILED]
            self._outcomes[started.index] = outcome
        await self._hide(context, refused)

    async def _hide(self, context: Context, refused: Sequence[Download]) -> None:
        """Clear the results of refused downloads, whose calls have the error and no gid."""
        service = self._services.service
        # Their results are seen if it fails, which harms nobody; the other downloads have been started.
        await asyncio.gather(
            *(service.clear_result(context.user, download.id) for download in refused), return_exceptions=True
        )

    def _fail(self, additions: Sequence[_Started], error: Exception) -> None:
        for started in additions:
            self._outcomes[started.index] = Outcome(
                error=self._explain(error, started.method), user=started.context.user
            )

    def _explain(self, error: Exception, method: str) -> RpcError:
        match error:
            case RpcError() | DownloadError() | PermissionMissingError():
                return translate_error(error)
            case _:
                log.error("rpc_method_failed", method=method, request_id=self._request_id, exc_info=error)
                return translate_error(InternalError())


def _find_method(name: str, user: User) -> Method:
    """Return a method that the user may call.

    Raises:
        RpcError: there is none of this name.
        PermissionMissingError: the user does not have its permission.
    """
    method = METHODS.get(name)
    if method is None:
        raise make_error(ErrorText.NO_SUCH_METHOD, name=name)
    user.require_permission(method.permission)
    return method
