"""The installed page: manifest, share target, service worker and notifications."""

import json
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from support.daemon_process import TOKEN, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.page_session import open_page_session
from support.waiting import wait_until

CONTROLLED = "navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)"
RECORD_NOTIFICATIONS = """
  window.shown = [];
  let permission = "default";
  window.Notification = class {
    static get permission() { return permission; }
    static async requestPermission() { return (permission = "granted"); }
  };
  const show = async (title, options) => void window.shown.push([title, options]);
  ServiceWorkerRegistration.prototype.showNotification = show;
"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def controlled(browser: Browser, restartable: DaemonProcess) -> AsyncIterator[Page]:
    """Open the page of a daemon, once its service worker loads it."""
    await restartable.start()
    async with open_page_session(browser, restartable) as session:
        await wait_until(lambda: session.page.evaluate(CONTROLLED))
        yield session.page
        # The browser reports the requests that fail while the daemon is stopped.
        session.errors.clear()


async def test_the_page_can_be_installed_and_opens_without_the_daemon(
    controlled: Page, restartable: DaemonProcess
) -> None:
    session = await controlled.context.new_cdp_session(controlled)
    found = await session.send("Page.getAppManifest")
    assert found["errors"] == []
    manifest = json.loads(found["data"])
    assert (manifest["display"], manifest["share_target"]["action"]) == ("standalone", "../../../")
    assert found["url"] == f"{restartable.url}/api/v1/page/manifest.webmanifest"
    # Now all of its files pass through the worker.
    await controlled.reload()
    await expect(controlled.locator("#connection")).to_have_text("Live")
    await restartable.kill()
    await controlled.reload()
    await expect(controlled.locator("#connection")).to_contain_text("Connection lost")
    await restartable.start()
    await expect(controlled.locator("#connection")).to_have_text("Live", timeout=30_000)
    keys = await controlled.evaluate(
        "caches.open('downloadd-page').then((cache) => cache.keys()).then((all) => all.map((one) => one.url))"
    )
    assert all(key == f"{restartable.url}/" or "/api/v1/page/" in key for key in keys)
    assert TOKEN not in json.dumps(keys)


async def test_what_another_app_shares_waits_in_the_form(browser: Browser, daemon: DaemonProcess) -> None:
    async with open_page_session(browser, daemon) as session:
        page = session.page
        query = "title=A+film&text=see+https%3A%2F%2Fa.example%2Ff%3Fx%3D1%26y%3D2&url="
        await page.goto(f"{daemon.url}/?{query}")
        await session.wait_for_text("#connection", "Live")
        await expect(page.get_by_label("Links")).to_have_value("https://a.example/f?x=1&y=2")
        await session.wait_for_text("#handed", "1 link from another page.")
        assert page.url == f"{daemon.url}/#downloads"
        assert await daemon.active() == await daemon.history() == []


async def test_ended_downloads_are_notified_while_the_page_is_hidden_and_only_on_request(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    async with open_page_session(browser, daemon) as session:
        page = session.page
        await page.add_init_script(RECORD_NOTIFICATIONS)
        await page.reload()
        button = page.get_by_role("button", name="Notify when downloads end")
        await expect(button).to_have_attribute("aria-pressed", "false")
        await page.evaluate(HIDE, True)
        await daemon.fetch("d", origin.url("/f"))
        await expect(page.locator("#announcements")).to_contain_text("1 download completed.")
        await page.evaluate(HIDE, False)
        await session.wait_for_text("#ended", "f")
        assert await page.evaluate("window.shown") == []
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await page.evaluate(HIDE, True)
        await daemon.fetch("d", origin.url("/f"))
        await wait_until(lambda: page.evaluate("window.shown.length > 0"))
        [[title, options]] = await page.evaluate("window.shown")
        assert (title, options["tag"]) == ("downloadd", "downloadd-ended")
        assert options["body"].endswith("completed.")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "false")
