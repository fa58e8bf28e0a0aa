"""`GET /{directory}`: starts a download into a directory, or lists those that run there."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from downloadd.api.answers import answer, encode, forbidden, permission_missing
from downloadd.api.bodies import DirectoryListingQuery, QueryForm, StartAnswer, StartQuery, start_answer
from downloadd.api.call import Call
from downloadd.api.engine import Engine
from downloadd.api.idempotency import read_repeat_key
from downloadd.api.listing import show_page
from downloadd.api.patience import Patience
from downloadd.api.target import decode_directory, decode_form, decode_percent
from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import ERRORS, DownloadError, ErrorCode, InvalidPathError
from downloadd.manager.intake import Order
from downloadd.policy.masking import show_url
from downloadd.records.protocol import StoredAnswer
from downloadd.states import ENDED
from downloadd.storage.names import parse_directory

START_FORM: Final = QueryForm(StartQuery)
LISTING_FORM: Final = QueryForm(DirectoryListingQuery)


class DirectoryEndpoints:
    """What can be asked of a directory.

    `allow` says whether the daemon may fetch at all, `may_use` whether the user of an id may start downloads there.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        patience: Patience,
        clock: Clock,
        allow: Callable[[], bool],
        may_use: Callable[[str, str], bool],
    ) -> None:
        self._engine = engine
        self._patience = patience
        self._clock = clock
        self._allow = allow
        self._may_use = may_use

    async def start(self, call: Call) -> web.Response:
        """`GET /{directory}?download=`: 201 once the download is on stable storage, or a refusal that is recorded."""
        if not self._allow():
            return forbidden()
        order, wait = read_order(call)
        if not self._may_use(call.user.id, order.directory):
            return permission_missing()
        keep: Callable[[Sequence[Download]], StoredAnswer | None] | None = None
        try:
            repeat = read_repeat_key(
                call.request.headers, user=call.user.id, method="GET", target=_without_wait(call.request.raw_path)
            )
        except DownloadError as error:
            order, repeat = msgspec.structs.replace(order, problem=order.problem or error), None
        if repeat is not None:
            key = repeat

            def keep(downloads: Sequence[Download]) -> StoredAnswer | None:
                result = start_answer(downloads[0])
                if result.error is ErrorCode.QUEUE_FULL:
                    # The same request is meant to succeed later.
                    return None
                return key.keep(status_of(result), encode(result), created=self._clock.wall())

        started = await self._engine.start((order,), user=call.user.id, request_id=call.request_id, answer=keep)
        if started.replayed is not None:
            return await self._again(call, started.replayed, wait)
        download = started.downloads[0]
        call.download_id = download.id
        call.shown_url = download.request.redacted_url
        if wait and download.state not in ENDED:
            download = await self._patience.wait(download, wait)
        return self._result(call, start_answer(download))

    async def listing(self, call: Call) -> web.Response:
        """`GET /{directory}?downloads=`: what is active in this directory, oldest first."""
        wanted = LISTING_FORM.read(call.query)
        directory = parse_directory(decode_directory(call.target.path))
        return await show_page(self._engine, call, wanted, directory=directory)

    async def _again(self, call: Call, stored: StoredAnswer, wait: int) -> web.Response:
        result = msgspec.json.decode(stored.body, type=StartAnswer)
        call.download_id = result.download_id
        if not wait or not result.success:
            return self._result(call, result)
        snapshot = await self._engine.get(result.download_id)
        return self._result(call, start_answer(await self._patience.wait(snapshot.download, wait)))

    def _result(self, call: Call, result: StartAnswer) -> web.Response:
        if result.success:
            return answer(result, status=201, location=location_of(call, result.download_id))
        response = answer(result, status=status_of(result))
        if result.error is ErrorCode.QUEUE_FULL:
            response.headers["Retry-After"] = str(self._engine.retry_after())
        return response


def read_order(call: Call) -> tuple[Order, int]:
    """The order that a start asks for, with its problem if it has one, and the seconds to wait for its end."""
    problem: DownloadError | None = None
    try:
        directory = decode_directory(call.target.path)
    except InvalidPathError as error:
        problem = error
        # It is shown in the history, and may be a URL in the wrong place.
        directory = show_url(decode_percent(call.target.path, errors="replace").strip("/"))
    try:
        wanted = START_FORM.read(call.query)
    except DownloadError as error:
        values = call.query.values
        filename = values.get("filename")
        return Order(
            url=decode_percent(values["download"], errors="replace"),
            directory=directory,
            filename=None if filename is None else decode_form(filename, errors="replace"),
            problem=problem or error,
        ), 0
    return Order(
        url=wanted.download[0],
        mirrors=wanted.download[1:],
        directory=directory,
        filename=wanted.filename,
        timeout=wanted.timeout,
        segments=wanted.segments,
        checksum=wanted.checksum,
        conflict=wanted.conflict,
        priority=wanted.priority,
        speed_limit=wanted.speed_limit,
        problem=problem,
    ), wanted.wait or 0


def status_of(result: StartAnswer) -> int:
    """The HTTP status of an answer that has this result alone."""
    return 201 if result.error is None else ERRORS[result.error].status


def location_of(call: Call, id: str) -> str:
    """Where a download can be looked at."""
    return f"{call.target.base_path}/api/v1/downloads/{id}"


def _without_wait(target: str) -> str:
    """The target of a start without how long its answer is waited for, which asks nothing of the download."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(part for part in query.split("&") if not part.startswith("wait="))
