"""The page in several tabs of one browser, which share one event stream."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, Playwright, Request
from support.config_files import user
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

OTHER_TOKEN = "other-token-other-token-other-token-other"
SILENCE = "BroadcastChannel.prototype.postMessage = () => {}"
"""Script that makes a tab as silent as one that the browser has suspended."""
SHOW = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""Script that shows or hides a tab; in a browser without a display all tabs are visible."""


class Tabs:
    """Tabs of one browser, with the event streams that are open."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.pages: list[Page] = []
        self.errors: list[str] = []
        self.requests: set[Request] = set()
        context.on("request", self._add_request)
        context.on("requestfailed", self._remove_request)
        context.on("requestfinished", self._remove_request)

    def _add_request(self, request: Request) -> None:
        if "/api/v1/events" in request.url:
            self.requests.add(request)

    def _remove_request(self, request: Request) -> None:
        self.requests.discard(request)

    @property
    def streams(self) -> list[Request]:
        """The event streams that are open; the end of one is not reported if its tab is closed."""
        return [request for request in self.requests if not request.frame.page.is_closed()]

    async def open(self, token: str = TOKEN) -> Page:
        page = await self.context.new_page()
        page.set_default_timeout(CONDITION_TIMEOUT * 1000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        await page.goto(f"{self.url}/#token={token}")
        await wait_for(page, "#connection", "Live")
        self.pages.append(page)
        return page

    @property
    def leader(self) -> Page:
        """The tab with the event stream."""
        [stream] = self.streams
        return stream.frame.page


@asynccontextmanager
async def opened_tabs(browser: Browser, url: str) -> AsyncIterator[Tabs]:
    context = await browser.new_context()
    tabs = Tabs(context, url)
    try:
        yield tabs
        assert tabs.errors == []
    finally:
        await context.close()


async def wait_for(page: Page, selector: str, text: str) -> None:
    await page.locator(selector).filter(visible=True, has_text=text).first.wait_for()


async def test_twelve_tabs_share_one_stream_and_all_work(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/film.mkv", ScriptedResponse(size=1000, stall_after=100))
    origin.script("/song.mp3", ScriptedResponse(size=10))
    async with opened_tabs(browser, daemon.url) as tabs:
        for _ in range(6):
            await tabs.open()
        await daemon.start_download("Films", origin.url("/film.mkv"))
        # A tab that is opened later has the active downloads of the others.
        for _ in range(6):
            await tabs.open()
        for page in tabs.pages:
            await wait_for(page, "#active .row", "film.mkv")
        assert len(tabs.streams) == 1
        last = tabs.pages[-1]
        await last.get_by_label("Links", exact=True).fill(origin.url("/song.mp3"))
        await last.get_by_role("button", name="Download", exact=True).click()
        for page in tabs.pages:
            await wait_for(page, "#ended", "song.mp3")


async def test_another_tab_continues_when_the_leader_is_closed_or_signs_out(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    async with opened_tabs(browser, daemon.url) as tabs:
        for _ in range(4):
            await tabs.open()
        for number, end in enumerate(("close", "sign out", "reload")):
            leader, name = tabs.leader, f"file-{number}"
            others = [page for page in tabs.pages if page is not leader]
            origin.script(f"/{name}", ScriptedResponse(size=1000, stall_after=100))
            started = await daemon.start_download("Films", origin.url(f"/{name}"))
            for page in tabs.pages:
                await wait_for(page, "#active .row", name)
            match end:
                case "close":
                    await leader.close()
                    tabs.pages = others
                case "sign out":
                    await leader.get_by_role("button", name="Sign out").click()
                    tabs.pages = others
                case _:
                    await leader.reload()
                    await wait_for(leader, "#active .row", name)
            # It may end before another tab has the stream, and is not missed.
            await daemon.control(started["download_id"], "cancel")
            for page in tabs.pages:
                await page.locator("#active .row", has_text=name).wait_for(state="detached")
            for page in others:
                await wait_for(page, "#ended", name)
            await wait_until(lambda: len(tabs.streams) == 1)


async def test_a_leader_that_does_not_answer_is_replaced(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/song.mp3", ScriptedResponse(size=10))
    async with opened_tabs(browser, daemon.url) as tabs:
        for _ in range(3):
            await tabs.open()
        suspended = tabs.leader
        await suspended.evaluate(SILENCE)
        [asks, *_] = [page for page in tabs.pages if page is not suspended]
        await asks.evaluate(SHOW, False)
        await wait_until(lambda: len(tabs.streams) == 1 and tabs.leader is not suspended)
        await daemon.start_download("Music", origin.url("/song.mp3"))
        for page in tabs.pages:
            if page is not suspended:
                await wait_for(page, "#ended", "song.mp3")


async def test_a_restart_of_the_daemon_is_seen_in_every_tab_and_a_hidden_leader_is_replaced(
    browser: Browser, restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/song.mp3", ScriptedResponse(size=10))
    await restartable.start()
    async with opened_tabs(browser, restartable.url) as tabs:
        for _ in range(3):
            await tabs.open()
        hidden = tabs.leader
        await hidden.evaluate(SHOW, True)
        await restartable.kill()
        for page in tabs.pages:
            await wait_for(page, "#connection", "Connection lost")
        await restartable.start()
        for page in tabs.pages:
            await wait_for(page, "#connection", "Live")
        # Browsers slow its timers down.
        await wait_until(lambda: len(tabs.streams) == 1 and tabs.leader is not hidden)
        await hidden.evaluate(SHOW, False)
        await restartable.start_download("Music", origin.url("/song.mp3"))
        for page in tabs.pages:
            await wait_for(page, "#ended", "song.mp3")


async def test_tabs_of_different_users_do_not_share_a_stream(browser: Browser, tmp_path: Path) -> None:
    config = DEFAULT_CONFIG + user("other", f"sha256:{hashlib.sha256(OTHER_TOKEN.encode()).hexdigest()}")
    async with DaemonProcess(tmp_path, config=config) as daemon, opened_tabs(browser, daemon.url) as tabs:
        for token in (TOKEN, OTHER_TOKEN, TOKEN, OTHER_TOKEN):
            await tabs.open(token)
        fields = [await stream.all_headers() for stream in tabs.streams]
        assert {each["authorization"] for each in fields} == {f"Bearer {TOKEN}", f"Bearer {OTHER_TOKEN}"}
        assert len(fields) == 2


async def test_without_a_secure_context_only_visible_tabs_have_a_stream(
    playwright: Playwright, daemon: DaemonProcess, origin: Origin
) -> None:
    for name in ("one", "two"):
        origin.script(f"/{name}", ScriptedResponse(size=10))
    origin.script("/film.mkv", ScriptedResponse(size=1000, stall_after=100))
    # A name in place of an address of the loopback interface, which browsers trust.
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP nas 127.0.0.1"]
    browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium-headless-shell", args=arguments)
    async with opened_tabs(browser, daemon.url.replace("127.0.0.1", "nas")) as tabs:
        for _ in range(7):
            page = await tabs.open()
            assert not await page.evaluate("isSecureContext || 'locks' in navigator")
            started = await daemon.start_download("Films", origin.url("/film.mkv"))
            await wait_for(page, "#active .row", "film.mkv")
            await page.evaluate(SHOW, True)
            await wait_until(lambda: not tabs.streams)
            await daemon.control(started["download_id"], "cancel")
        await daemon.start_download("Music", origin.url("/one"))
        page = tabs.pages[-1]
        await page.evaluate(SHOW, False)
        # What has ended in between is not active any more.
        await page.locator("#active .row", has_text="film.mkv").wait_for(state="detached")
        await daemon.start_download("Music", origin.url("/two"))
        await wait_for(page, "#ended", "two")
    await browser.close()
