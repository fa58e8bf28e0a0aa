"""`/api/v1/downloads/actions`: one action on many downloads."""

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from downloadd.bulk_actions import ActionOutcome, BulkAction, BulkActions
from downloadd.download import Snapshot
from downloadd.errors import DownloadForbiddenError, InvalidParameterError, Occasion, codes_at
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.bulk_schemas import BulkBody, BulkResponse, BulkResult
from downloadd.fronts.rest.contract import Contract, ResponseSpec
from downloadd.fronts.rest.entries import make_active_entry, make_history_entry
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.states import FINISHED

BULK: Final = Contract(
    body=BulkBody,
    response=ResponseSpec(description="The result for each download, also for refused ones", types=(BulkResponse,)),
    errors=(*codes_at(Occasion.READ), *codes_at(Occasion.BODY), DownloadForbiddenError.code),
)
"""Contract of the request; see `contracts`."""

_MESSAGES: Final[Mapping[BulkAction, str]] = {
    BulkAction.PAUSE: "Download paused",
    BulkAction.RESUME: "Download resumed",
    BulkAction.RETRY: "Download will be tried again",
    BulkAction.CANCEL: "Download cancelled",
    BulkAction.REMOVE: "Removed from the history",
}


class BulkEndpoint:
    """Handler of actions on many downloads."""

    def __init__(self, *, actions: BulkActions, reader: BodyReader) -> None:
        self._actions = actions
        self._reader = reader

    async def apply(self, context: RequestContext) -> web.Response:
        """Apply an action to many downloads, for `POST /api/v1/downloads/actions`."""
        body = decode_body(await self._reader.read_json(context.request), BulkBody)
        if body.file and body.action is not BulkAction.REMOVE:
            raise InvalidParameterError("file", "is for the action remove only")
        outcomes = await self._actions.apply(context.user, body.action, body.ids, with_file=body.file)
        return json_response(make_bulk_response(body.action, outcomes))


def make_bulk_response(action: BulkAction, outcomes: Sequence[ActionOutcome]) -> BulkResponse:
    """Return the answer with the results of all downloads."""
    results = [_make_result(action, outcome) for outcome in outcomes]
    changed = sum(result.success for result in results)
    return BulkResponse(
        results=results,
        success=changed == len(results),
        message=f"{changed} changed" + (f", {len(results) - changed} refused" if changed < len(results) else ""),
    )


def _make_result(action: BulkAction, outcome: ActionOutcome) -> BulkResult:
    changed = outcome.changed
    if changed is None:
        return BulkResult(id=outcome.id, success=False, message="Refused", error=outcome.error, detail=outcome.detail)
    message = _MESSAGES[action] + (", with its file" if outcome.is_file_removed else "")
    if isinstance(changed, Snapshot) and changed.download.state not in FINISHED:
        return BulkResult(id=outcome.id, success=True, message=message, active=make_active_entry(changed))
    ended = changed.download if isinstance(changed, Snapshot) else changed
    return BulkResult(id=outcome.id, success=True, message=message, ended=make_history_entry(ended))
