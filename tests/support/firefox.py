"""Firefox without a window, controlled by WebDriver BiDi, which it speaks itself."""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from support.waiting import CONDITION_TIMEOUT, wait_until

PREFERENCES = {
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
}
_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


class Firefox:
    """The tab of a browser, with the errors that its pages have logged."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._tab = ""
        self.errors: list[str] = []

    async def start(self) -> None:
        """Begin the session."""
        await self._call("session.new", capabilities={})
        await self._call("session.subscribe", events=["log.entryAdded"])
        self._tab = (await self._call("browsingContext.getTree"))["contexts"][0]["context"]

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while (message := await self._socket.receive_json()).get("id") != self._number:
                if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                    self.errors.append(message["params"]["text"])
        assert message["type"] == "success", message
        return dict(message["result"])

    async def open(self, url: str) -> None:
        """Open a page."""
        await self._call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, also of one that promises it."""
        wrapped = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        result = await self._call(
            "script.evaluate", expression=wrapped, target={"context": self._tab}, awaitPromise=True
        )
        assert result["type"] == "success", result
        return json.loads(result["result"]["value"])

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        await wait_until(lambda: self.evaluate(f"Boolean({expression})"))

    async def click(self, selector: str) -> None:
        """Click in the middle of the first element that a selector of CSS has, in view."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{ block: 'center' }})")
        locator = {"type": "css", "value": selector}
        [node, *_] = (await self._call("browsingContext.locateNodes", context=self._tab, locator=locator))["nodes"]
        origin = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        steps = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        await self._act({"type": "pointer", "id": "mouse", "actions": steps})

    async def type(self, text: str) -> None:
        """Press the keys of a text."""
        steps = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        await self._act({"type": "key", "id": "keyboard", "actions": steps})

    async def _act(self, source: dict[str, Any]) -> None:
        await self._call("input.performActions", context=self._tab, actions=[source])


@asynccontextmanager
async def open_firefox(profile: Path) -> AsyncIterator[Firefox]:
    """Start Firefox with a new profile."""
    profile.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("".join(lines))
    arguments = ("--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0")
    environment = {**os.environ, "HOME": str(profile)}
    process = await asyncio.create_subprocess_exec(
        "firefox-esr", *arguments, stdout=PIPE, stderr=STDOUT, env=environment
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not (found := _LISTENING.search((await process.stdout.readline()).decode())):
                assert process.returncode is None
        reader = asyncio.create_task(process.stdout.read())
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{found[1]}/session", max_msg_size=0) as socket,
            ):
                firefox = Firefox(socket)
                await firefox.start()
                yield firefox
        finally:
            reader.cancel()
    finally:
        process.terminate()
        await process.wait()
