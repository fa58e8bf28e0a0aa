"""Answers to messages: tokens, delays, outcomes, and defects of methods."""

import asyncio
import json
import xmlrpc.client
from collections.abc import MutableMapping
from typing import Any

from support.clocks import ManualClock
from support.fake_manager import FakeMetrics
from support.fake_rpc import NOTIFICATIONS, FakeMethods
from support.virtual_time import in_virtual_time

from downloadd.fronts.aria2.access.token_guard import DELAY_SECONDS, MAX_TOKENS, TokenGuard
from downloadd.fronts.aria2.message_handler import (
    JSON_TYPE,
    MAX_ANONYMOUS_BYTES,
    SCRIPT_TYPE,
    XML_TYPE,
    Answer,
    Caller,
    MessageHandler,
)
from downloadd.fronts.rest.request_guards import LoginThrottle
from downloadd.users import User

ALICE = User(id="alice", permissions=frozenset({"download"}))
CALLER = Caller(address="192.0.2.1", request_id="r1")


class Handled:
    """A handler with its fakes; `right` is the token of Alice."""

    def __init__(self) -> None:
        users = {"right": ALICE}
        self.methods = FakeMethods(users.get)
        self.guard = TokenGuard(
            find_user=users.get, throttle=LoginThrottle(50), metrics=FakeMetrics(), clock=ManualClock()
        )
        self.handler = MessageHandler(self.methods, self.guard)

    async def answer(self, value: Any) -> tuple[Answer, Any]:
        """Return the answer to a message that is JSON, and its body."""
        answer = await self.handler.answer_json(json.dumps(value).encode(), CALLER)
        return answer, json.loads(answer.body)


def request(method: str, *params: Any, id: Any = 1) -> dict[str, Any]:
    return {"id": id, "method": method, "params": list(params)}


async def test_calls_are_performed_in_one_message_with_its_request_id() -> None:
    handled = Handled()
    answer, body = await handled.answer(
        [request("aria2.echo", "token:right", 1), request("aria2.none", "token:right"), request("aria2.echo", 2)]
    )
    assert [each.get("result", each.get("error")) for each in body] == [
        [1],
        {"code": 1, "message": "No such method: aria2.none"},
        {"code": 1, "message": "Unauthorized"},
    ]
    assert handled.methods.request_ids == ["r1"]
    assert (answer.status, answer.counted_status, answer.calls) == (200, 200, 3)
    assert answer.users == {"right": ALICE}
    assert answer.log_fields == {"calls": 3}


async def test_a_message_without_a_call_does_not_reach_the_methods() -> None:
    handled = Handled()
    answer, body = await handled.answer([])
    assert (body, answer.status) == ([], 200)
    answer, body = await handled.answer({"id": 1})
    assert (answer.status, answer.media_type) == (400, JSON_TYPE)
    assert handled.methods.request_ids == []


async def test_the_log_has_the_name_of_a_method_and_no_other_text_of_a_client() -> None:
    handled = Handled()
    for method, shown in (
        ("aria2.echo", "aria2.echo"),
        ("system.listNotifications", "system.listNotifications"),
        ("token:right", "other"),
        ("aria2.token:right", "other"),
        ("aria2.a\n", "other"),
    ):
        answer, _ = await handled.answer(request(method, "token:right"))
        assert answer.log_fields == {"calls": 1, "rpc": shown}


@in_virtual_time
async def test_only_a_wrong_token_delays_the_answer_and_the_calls_are_performed_before() -> None:
    handled = Handled()
    loop = asyncio.get_running_loop()
    for params, seconds in ((["token:right"], 0.0), ([], 0.0), (["token:"], 0.0), (["token:wrong"], DELAY_SECONDS)):
        began = loop.time()
        task = loop.create_task(handled.answer(request("aria2.echo", *params)))
        await asyncio.sleep(0.01)
        assert len(handled.methods.calls) == 1
        await task
        assert round(loop.time() - began, 1) == seconds
        handled.methods.calls.clear()


@in_virtual_time
async def test_methods_that_need_no_token_work_with_a_wrong_one() -> None:
    _, body = await Handled().answer(request("system.listNotifications", "token:wrong"))
    assert body["result"] == NOTIFICATIONS


async def test_the_users_of_calls_within_a_multicall_are_known() -> None:
    inner = [{"methodName": "aria2.echo", "params": ["token:right", 5]}, {"methodName": "aria2.none"}]
    answer, body = await Handled().answer(request("system.multicall", inner))
    assert answer.users == {"right": ALICE}
    assert body["result"] == [[[5]], {"code": 1, "message": "Unauthorized"}]


async def test_a_list_of_guesses_is_refused_unread() -> None:
    handled = Handled()
    _, body = await handled.answer([request("aria2.echo", f"token:{number}") for number in range(MAX_TOKENS + 1)])
    assert {each["error"]["message"] for each in body} == {"Invalid Request."}
    assert handled.methods.calls == []


async def test_a_defect_of_a_method_is_an_answer_without_details_and_a_line_in_the_log(
    lines: list[MutableMapping[str, Any]],
) -> None:
    handled = Handled()
    answer, body = await handled.answer(request("aria2.break", "token:right"))
    assert body["error"]["code"] == 1
    assert "defect" not in body["error"]["message"]
    assert (answer.status, answer.counted_status) == (500, 500)
    document = xmlrpc.client.dumps(("token:right",), "aria2.break").encode()
    answer = await handled.handler.answer_xml(document, CALLER)
    assert (answer.status, answer.counted_status) == (200, 500)
    assert [line["event"] for line in lines] == ["rpc_failed", "rpc_failed"]


async def test_a_query_may_ask_for_a_script() -> None:
    handler = Handled().handler
    values = {"method": "system.listNotifications", "id": "1", "jsoncallback": "cb"}
    answer = await handler.answer_query(values, CALLER)
    assert (answer.media_type, answer.body[:4]) == (SCRIPT_TYPE, b"cb({")
    answer = await handler.answer_query({**values, "jsoncallback": "alert(1)"}, CALLER)
    assert (answer.media_type, answer.status) == (JSON_TYPE, 400)
    assert b"alert" not in answer.body


async def test_xml_is_answered_with_status_200_unless_it_is_not_a_call() -> None:
    handler = Handled().handler
    answer = await handler.answer_xml(xmlrpc.client.dumps(("token:right", 5), "aria2.echo").encode(), CALLER)
    assert (answer.status, answer.media_type) == (200, XML_TYPE)
    assert xmlrpc.client.loads(answer.body)[0] == ([5],)
    assert answer.log_fields == {"calls": 1, "rpc": "aria2.echo"}
    answer = await handler.answer_xml(xmlrpc.client.dumps((), "aria2.echo").encode(), CALLER)
    assert (answer.status, answer.counted_status) == (200, 400)
    answer = await handler.answer_xml(b"no xml", CALLER)
    assert (answer.status, answer.counted_status, answer.media_type) == (400, 400, XML_TYPE)


@in_virtual_time
async def test_a_long_message_is_read_only_with_a_right_token_in_its_beginning() -> None:
    handler = Handled().handler
    for media_type, token in ((JSON_TYPE, b'"token:%b"'), (XML_TYPE, b"<value>token:%b</value>")):
        filler = b" " * MAX_ANONYMOUS_BYTES
        assert await handler.refuse_long(token % b"right" + filler, CALLER, media_type=media_type) is None
        for head in (token % b"wrong" + filler, filler + token % b"right", filler):
            answer = await handler.refuse_long(head, CALLER, media_type=media_type)
            assert answer is not None
            assert b"Unauthorized" in answer.body
            assert (answer.status, answer.media_type) == (400, media_type)
