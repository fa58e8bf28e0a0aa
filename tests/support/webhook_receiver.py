"""Receiver of webhooks on a socket, with scripted statuses, which records requests."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

KEY = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


class WebhookReceiver:
    """Receiver that answers with the next of `answers`; the last one repeats, and 0 sends no response."""

    def __init__(
        self,
        *answers: int,
        port: int = 0,
        headers: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answers = list(answers) or [204]
        self.port = port
        self.headers = headers or {}
        self._tls = tls
        self.received: list[tuple[dict[str, str], bytes]] = []
        self._released = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/hook?token=s3cret-of-the-url"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    def messages_for(self, download_id: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["data"]["id"] == download_id]

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        status = self.answers[min(len(self.received), len(self.answers) - 1)]
        self.received.append((dict(request.headers), body))
        if not status:
            await self._released.wait()
        return web.Response(status=status or 204, headers=self.headers)


def hook_table(name: str = "chat", **keys: object) -> str:
    """Return a `[[hooks]]` table."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, **keys}.items()]
    return "\n".join(("", "[[hooks]]", *lines, ""))


def webhook_table(receiver: WebhookReceiver, name: str = "chat", **keys: object) -> str:
    """Return the `[[hooks]]` table of a webhook."""
    return hook_table(name, url=receiver.url, secret=KEY, **keys)


def filter_events(lines: Sequence[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """Return the log lines of one event."""
    return [line for line in lines if line["event"] == event]
