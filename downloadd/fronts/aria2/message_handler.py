"""Answers to messages, whatever they arrive by: tokens are examined, calls performed, outcomes encoded."""

import asyncio
import re
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from downloadd.fronts.aria2.access.token_guard import MAX_TOKENS, Admission, TokenGuard
from downloadd.fronts.aria2.access.tokens import collect_tokens, scan_json, scan_xml
from downloadd.fronts.aria2.calls import Call, Outcome, RpcMethods
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.wire import json_rpc, xml_rpc
from downloadd.fronts.aria2.wire.envelope import counted_status, http_status, internal_error, unauthorized
from downloadd.fronts.aria2.wire.json_rpc import Message
from downloadd.users import User

MAX_ANONYMOUS_BYTES: Final = 1024 * 1024
"""Bytes of the longest message that is parsed without a right token at its beginning."""

JSON_TYPE: Final = "application/json-rpc"
SCRIPT_TYPE: Final = "text/javascript"
XML_TYPE: Final = "text/xml"

_XML_SLICE_BYTES: Final = 64 * 1024
"""Bytes of XML that are parsed at once; the loop handles others in between."""
_METHOD_NAME: Final = re.compile(r"(?:aria2|system)\.[A-Za-z]{1,40}", re.ASCII)

_log: Final = structlog.get_logger()


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Sender of a message."""

    address: str
    """The address of the client behind the trusted proxies; "" for a Unix socket."""
    request_id: str
    """The id of the message in the log and in the records."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Encoded answer to a message."""

    body: bytes
    media_type: str = JSON_TYPE
    status: int = 200
    counted_status: int = 200
    """The status for the access log and the metrics."""
    method: str = ""
    """The method of a single call for the log; "" for anything else."""
    calls: int = 0
    admission: Admission = Admission()

    @property
    def users(self) -> Mapping[str, User]:
        """Return the users whose right tokens the message carried, by these tokens."""
        return self.admission.users

    @property
    def log_fields(self) -> dict[str, object]:
        """Return the fields of its line in the log."""
        fields: dict[str, object] = {"calls": self.calls}
        if self.method:
            fields["rpc"] = self.method
        return fields


class _Performed(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of the calls of a message."""

    outcomes: list[Outcome]
    admission: Admission = Admission()
    has_failed: bool = False
    """True if a defect of the daemon has ended the calls."""


class MessageHandler:
    """Performs the calls of messages and encodes their outcomes."""

    def __init__(self, methods: RpcMethods, guard: TokenGuard) -> None:
        self._methods = methods
        self._guard = guard

    def find_user(self, token: str) -> User | None:
        """Return the present user of a token; None if it is wrong."""
        return self._guard.find_user(token)

    async def answer_json(self, data: bytes, caller: Caller) -> Answer:
        """Return the answer to a message in JSON."""
        answer = await self._answer_message(json_rpc.parse_message(data), caller)
        # The delay must not keep the message in memory.
        del data
        return await self._delayed(answer)

    async def answer_query(self, values: Mapping[str, str], caller: Caller) -> Answer:
        """Return the answer to the raw values of a query."""
        try:
            callback = json_rpc.parse_callback(values)
        except RpcError as error:
            return await self._answer_message(Message.refused(error), caller)
        return await self._delayed(await self._answer_message(json_rpc.parse_query(values), caller, callback))

    async def answer_xml(self, data: bytes, caller: Caller) -> Answer:
        """Return the answer to a document in XML."""
        try:
            calls = [await _parse_xml(data)]
        except RpcError as error:
            return Answer(body=xml_rpc.encode_fault(error), media_type=XML_TYPE, status=400, counted_status=400)
        del data
        method = _shown_method(calls)
        performed = await self._perform(calls, caller)
        [outcome] = performed.outcomes
        answer = Answer(
            body=xml_rpc.encode_outcome(outcome),
            media_type=XML_TYPE,
            counted_status=500 if performed.has_failed else counted_status(outcome.error),
            method=method,
            calls=1,
            admission=performed.admission,
        )
        return await self._delayed(answer)

    async def refuse_long(self, head: bytes, caller: Caller, *, media_type: str) -> Answer | None:
        """Return the answer to a message of which only the beginning is read, because that has no right token.

        Call it for a message that is longer than `MAX_ANONYMOUS_BYTES`; None means that it may be read.
        """
        found = (scan_xml if media_type == XML_TYPE else scan_json)(head[:MAX_ANONYMOUS_BYTES])
        admission = self._guard.examine(sorted(found)[:MAX_TOKENS], caller.address)
        await self._guard.wait_for_turn(admission)
        if admission.users:
            return None
        refusal = make_refusal(unauthorized(), media_type=media_type)
        return await self._delayed(msgspec.structs.replace(refusal, admission=admission))

    async def _answer_message(self, message: Message, caller: Caller, callback: str | None = None) -> Answer:
        method, count = _shown_method(message.calls), len(message.requests)
        performed = await self._perform(message.calls, caller)
        outcomes = json_rpc.match_outcomes(message, performed.outcomes)
        error = None if message.is_batch else outcomes[0].error
        return Answer(
            body=json_rpc.encode_answer(message, outcomes, callback),
            media_type=JSON_TYPE if callback is None else SCRIPT_TYPE,
            status=500 if performed.has_failed else http_status(error),
            counted_status=500 if performed.has_failed else counted_status(error),
            method=method,
            calls=count,
            admission=performed.admission,
        )

    async def _perform(self, calls: list[Call], caller: Caller) -> _Performed:
        """Return the outcomes of calls, and empty the list."""
        count = len(calls)
        if not count:
            return _Performed(outcomes=[])
        try:
            admission = self._guard.examine(collect_tokens(calls), caller.address)
        except RpcError as error:
            return _Performed(outcomes=[Outcome(error=error)] * count)
        await self._guard.wait_for_turn(admission)
        try:
            outcomes = await self._methods.call_all(calls, request_id=caller.request_id)
        except Exception:
            _log.exception("rpc_failed")
            outcomes = [Outcome(error=internal_error())] * count
            return _Performed(outcomes=outcomes, admission=admission, has_failed=True)
        finally:
            calls.clear()
        return _Performed(outcomes=outcomes, admission=admission)

    async def _delayed(self, answer: Answer) -> Answer:
        await self._guard.delay_answer(answer.admission)
        return answer


def make_refusal(error: RpcError, *, media_type: str, status: int = 400) -> Answer:
    """Return the answer to a message that is not parsed."""
    if media_type == XML_TYPE:
        return Answer(body=xml_rpc.encode_fault(error), media_type=XML_TYPE, status=status, counted_status=status)
    message = Message.refused(error)
    body = json_rpc.encode_answer(message, json_rpc.match_outcomes(message, ()))
    return Answer(body=body, status=status, counted_status=status)


def _shown_method(calls: list[Call]) -> str:
    """Return the name of the method of a single call for the log; clients may send any text."""
    if len(calls) != 1:
        return ""
    return calls[0].method if _METHOD_NAME.fullmatch(calls[0].method) else "other"


async def _parse_xml(data: bytes) -> Call:
    parser = xml_rpc.XmlCallParser()
    for start in range(0, len(data), _XML_SLICE_BYTES):
        parser.feed(data[start : start + _XML_SLICE_BYTES])
        await asyncio.sleep(0)
    return parser.close()
