"""Tab of a browser with the web page, which records errors and hosts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page
from support.daemon_process import TOKEN, DaemonProcess
from support.waiting import CONDITION_TIMEOUT


class PageSession:
    """Tab with its errors and the hosts it has requested from."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.set_default_timeout(CONDITION_TIMEOUT * 1000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._record_console_message(message.type, message.text))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _record_console_message(self, kind: str, text: str) -> None:
        # The browser logs each error response itself; the page handles those.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.errors.append(text)

    async def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until a visible element contains this text."""
        await self.page.locator(selector).filter(visible=True, has_text=text).first.wait_for()

    async def row(self, name: str) -> Any:
        """Return the row of a download."""
        row = self.page.locator("#active .row", has_text=name)
        await row.wait_for()
        return row


@asynccontextmanager
async def open_page_session(
    browser: Browser, daemon: DaemonProcess, *, token: str | None = TOKEN, sign: str = "Live", **context: Any
) -> AsyncIterator[PageSession]:
    """Open the page, signed in by a link such as the daemon prints; assert that it has no errors at the end.

    `sign` is the text of a page that is connected; `context` are settings of the browser.
    """
    opened = await browser.new_context(**context)
    try:
        page_session = PageSession(await opened.new_page())
        await page_session.page.goto(f"{daemon.url}/" if token is None else f"{daemon.url}/#token={token}")
        if token is not None:
            await page_session.wait_for_text("#connection", sign)
        yield page_session
        assert page_session.errors == []
        assert page_session.hosts == {urlsplit(daemon.url).netloc}
    finally:
        await opened.close()
