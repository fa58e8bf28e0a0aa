"""Notifications through the real Apprise, to a server on this machine."""

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from records.contract import sample_download
from support.deliveries import make_delivery
from support.downloads import with_fields

from downloadd.config import HookConfig
from downloadd.errors import ErrorCode, StartupError
from downloadd.fronts.rest.entries import make_history_entry
from downloadd.hooks.notification import Notifier, check_notify_urls, describe
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.states import State

# A plugin of Apprise imports it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@asynccontextmanager
async def receiving(status: int = 200) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the URL of a service, and the notifications that it receives."""
    received: list[dict[str, Any]] = []

    async def receive(request: web.Request) -> web.Response:
        received.append(json.loads(await request.text()))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/{path:.*}", receive)
    async with TestServer(app) as server:
        yield f"json://{server.host}:{server.port}/", received


async def test_a_completed_download_is_notified() -> None:
    async with receiving() as (url, received):
        outcome = await Notifier().send(HookConfig(name="phone", notify=(url,)), make_delivery())
    assert outcome == Delivered(answer="notified")
    [notification] = received
    assert notification["title"].startswith("Download completed: ")
    assert notification["type"] == "success"


async def test_a_service_that_refuses_is_tried_again() -> None:
    async with receiving(500) as (url, received):
        outcome = await Notifier().send(HookConfig(name="phone", notify=(url,)), make_delivery())
    assert isinstance(outcome, DeliveryFailed)
    assert not outcome.permanent
    assert received


async def test_a_service_that_does_not_answer_is_given_up_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downloadd.hooks.notification._notify", lambda hook, entry: time.sleep(0.2))
    hook = HookConfig(name="phone", notify=("json://h",), timeout=0.01)
    outcome = await Notifier().send(hook, make_delivery())
    assert outcome == DeliveryFailed(reason="the services did not answer within 0.01 s")


def test_the_text_says_what_was_saved_or_why_not() -> None:
    completed = with_fields(
        sample_download(), state=State.COMPLETED, filename="a.bin", directory="d", total=2048, warning="a web page"
    )
    assert describe(make_history_entry(completed)) == ("Download completed: a.bin", "d/a.bin (2 KiB)\na web page")
    failed = with_fields(
        sample_download(), state=State.FAILED, filename="a.bin", error=ErrorCode("REMOTE_ERROR"), detail="gone"
    )
    assert describe(make_history_entry(failed)) == ("Download failed: a.bin", "gone")


def test_a_url_that_apprise_does_not_know_is_refused_without_its_secret(caplog: pytest.LogCaptureFixture) -> None:
    hook = HookConfig(name="phone", notify=("json://localhost", "nothing://secret@host"))
    with (
        caplog.at_level(0),
        pytest.raises(StartupError, match=r"notify\[1\] of the hook phone is not a URL of Apprise") as caught,
    ):
        check_notify_urls([hook])
    assert "secret" not in str(caught.value) + caplog.text


def test_a_missing_apprise_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(StartupError, match=r"pip install 'downloadd\[notifications\]'"):
        check_notify_urls([HookConfig(name="phone", notify=("json://localhost",))])
