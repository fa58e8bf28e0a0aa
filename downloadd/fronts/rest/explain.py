"""`POST /api/v1/explain`: what would become of a request, and why; no origin is asked, and nothing is recorded."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from downloadd.directory_settings import Quota
from downloadd.download import Conflict
from downloadd.download_request import make_download_request
from downloadd.errors import ErrorCode
from downloadd.explanation import Alternative, Explainer, Explanation
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schemas import BatchItem
from downloadd.policy.redaction import redact_url
from downloadd.states import State


class AppliedQuota(msgspec.Struct, frozen=True, kw_only=True):
    """A quota that the file would count in."""

    directory: str
    limit: Annotated[int, Meta(ge=0, description="Bytes of all files below the directory.")]


class ConditionalOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a request if the response of its origin meets the conditions of a rule."""

    rule: Annotated[str, Meta(description="Name of the rule.")]
    types: Annotated[list[str], Meta(description="Media types that the origin must state; empty for all.")]
    min_size: Annotated[int, Meta(ge=0, description="Bytes that the file must have; 0 for no limit.")]
    max_size: Annotated[int, Meta(ge=0, description="Bytes that the file may have; 0 for no limit.")]
    directory: str
    file_path: str
    conflict: Annotated[Conflict, Meta(description="Action if the name exists.")]
    skip_same: Annotated[bool, Meta(description="True if a file of the name with the same content is kept.")]
    priority: int
    speed_limit: Annotated[int, Meta(ge=0, description="Bytes a second; 0 for no limit.")]
    segments: Annotated[int, Meta(ge=1, description="Parallel connections.")]
    max_retries: Annotated[int, Meta(ge=0, description="Failed attempts in a row; null for the default.")] | None
    quotas: Annotated[list[AppliedQuota], Meta(description="Quotas that the file would count in.")]
    hooks: Annotated[list[str], Meta(description="Names of the hooks that would act on the completed download.")]


class ExplainResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a request."""

    allowed: Annotated[bool, Meta(description="The download would be accepted.")]
    error: Annotated[ErrorCode | None, Meta(description="Error code of the refusal.")]
    detail: Annotated[str, Meta(description="Reason of the refusal.")] | None
    rule: (
        Annotated[
            str, Meta(description="Name of the rule that applies, unless one of `alternatives` does; null for none.")
        ]
        | None
    )
    alternatives: Annotated[
        list[ConditionalOutcome],
        Meta(
            description="What the download becomes by rules that need the answer of the origin; the first one whose "
            "conditions it meets decides."
        ),
    ]
    directory: str
    filename: Annotated[
        str, Meta(description="Requested name, or the end of the URL; the origin may name another one.")
    ]
    file_path: str
    conflict: Annotated[Conflict, Meta(description="Action if the name exists.")]
    skip_same: Annotated[bool, Meta(description="True if a file of the name with the same content is kept.")]
    priority: int
    speed_limit: Annotated[int, Meta(ge=0, description="Bytes a second; 0 for no limit.")]
    segments: Annotated[int, Meta(ge=1, description="Parallel connections.")]
    timeout: Annotated[int, Meta(ge=0, description="Seconds in all that the download may take; 0 for no limit.")]
    max_retries: Annotated[int, Meta(ge=0, description="Failed attempts in a row; null for the default.")] | None
    proxy: Annotated[str, Meta(description='Name of the proxy, "" for that of the environment; null for none.')] | None
    credentials: Annotated[bool, Meta(description="The configuration has request fields for the host.")]
    max_per_host: Annotated[int, Meta(ge=1, description="Downloads that run at once from the origin.")]
    max_concurrent: Annotated[int, Meta(ge=1, description="Downloads that run at once.")]
    quotas: Annotated[list[AppliedQuota], Meta(description="Quotas that the file would count in.")]
    hooks: Annotated[list[str], Meta(description="Names of the hooks that would act on the completed download.")]
    success: bool


class ExplainEndpoint:
    """Handler of the explanation of a request."""

    def __init__(self, *, explainer: Explainer, reader: BodyReader) -> None:
        self._explainer = explainer
        self._reader = reader

    async def explain(self, context: RequestContext) -> web.Response:
        """Return what would become of a request."""
        body = decode_body(await self._reader.read_json(context.request), BatchItem)
        context.redacted_url = redact_url(body.url)
        request = make_download_request(body, directory=body.directory)
        return json_response(make_explain_response(await self._explainer.explain(context.user, request)))


def make_explain_response(explanation: Explanation) -> ExplainResponse:
    """Return the answer to a request for an explanation."""
    download = explanation.download
    request, options = download.request, download.request.attempt_options
    return ExplainResponse(
        allowed=download.state is not State.FAILED,
        error=download.result.error,
        detail=download.result.detail,
        rule=explanation.rule,
        alternatives=[_make_outcome(each) for each in explanation.alternatives],
        directory=request.directory,
        filename=download.filename,
        file_path=download.file_path,
        conflict=request.conflict,
        skip_same=request.skip_same,
        priority=download.control.priority,
        speed_limit=download.control.speed_limit,
        segments=request.segments,
        timeout=request.timeout,
        max_retries=None if options is None else options.max_retries,
        proxy=explanation.proxy,
        credentials=explanation.has_credentials,
        max_per_host=explanation.slots,
        max_concurrent=explanation.max_concurrent,
        quotas=_make_quotas(explanation.quotas),
        hooks=list(explanation.hooks),
        success=True,
    )


def _make_outcome(alternative: Alternative) -> ConditionalOutcome:
    rule, download = alternative.rule, alternative.download
    request = download.request
    return ConditionalOutcome(
        rule=rule.name,
        types=list(rule.types),
        min_size=rule.min_size,
        max_size=rule.max_size,
        directory=request.directory,
        file_path=download.file_path,
        conflict=request.conflict,
        skip_same=request.skip_same,
        priority=download.control.priority,
        speed_limit=download.control.speed_limit,
        segments=request.segments,
        max_retries=request.limits.max_retries,
        quotas=_make_quotas(alternative.quotas),
        hooks=list(alternative.hooks),
    )


def _make_quotas(quotas: Sequence[Quota]) -> list[AppliedQuota]:
    return [AppliedQuota(directory=each.directory, limit=each.limit) for each in quotas]
