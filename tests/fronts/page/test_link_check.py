"""The check of a link on the page, in a browser, with a daemon and an origin."""

import asyncio
from pathlib import Path

from playwright.async_api import Browser, Page, expect
from support.daemon_process import DaemonProcess, config_of_viewer
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.page_looks import find_problems, load_axe
from support.page_session import open_page_session
from support.waiting import wait_until

RELEASE = ScriptedResponse(size=3 << 20, etag='"v1"', content_type="application/x-iso9660-image")


async def check(page: Page, link: str) -> None:
    await page.get_by_label("Links").fill(link)
    await page.get_by_role("button", name="Check", exact=True).click()


def probed(daemon: DaemonProcess) -> list[int]:
    """Return the statuses of the answers to probes."""
    return [line["status"] for line in daemon.log_lines() if line.get("path") == "/api/v1/probe"]


async def test_a_link_is_checked_on_request_before_its_download(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/latest", redirect("/pool/release.iso?token=secret"))
    origin.script("/pool/release.iso", RELEASE)
    async with open_page_session(browser, daemon) as page_session:
        page, result = page_session.page, page_session.page.locator("#probe")
        await page.get_by_label("Links").fill(f"see {origin.url('/latest')}.")
        await page_session.wait_for_text("#found", "1 link found")
        assert (probed(daemon), origin.connections) == ([], 0)
        await page.get_by_role("button", name="Check", exact=True).click()
        await expect(result).to_contain_text("release.iso")
        await expect(result).to_contain_text("3.00 MiB · application/x-iso9660-image · can be resumed")
        await expect(result).to_contain_text(f"Redirected to {origin.url('/pool/release.iso?token=***')}")
        assert (await daemon.active(), await daemon.history()) == ([], [])
        # The result is that of the form as it is.
        await page.get_by_text("Options").click()
        await page.get_by_label("File name").fill("mine.iso")
        await expect(result).to_be_empty()
        await page.get_by_role("button", name="Check", exact=True).click()
        await expect(result).to_contain_text("mine.iso")
        await page.get_by_role("button", name="Download", exact=True).click()
        await page_session.wait_for_text("#ended", "mine.iso")
        await expect(result).to_be_empty()
        await expect(page.locator("#check")).to_be_hidden()


async def test_the_reason_why_a_download_would_fail_is_shown(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/gone", error_response(404))
    origin.script("/f.zip", ScriptedResponse(body=b"<html>", content_type="text/html", honour_ranges=False))
    async with open_page_session(browser, daemon) as page_session:
        page, result = page_session.page, page_session.page.locator("#probe")
        for link, problem, resolution in (
            (origin.url("/gone"), "Remote file not found: the origin answered 404.", "Verify the URL is correct"),
            ("http://10.0.0.1/", "Domain not allowed: the address 10.0.0.1", "Contact administrator to whitelist"),
            (origin.url("/f.zip"), "Attention: the origin sent a web page", "cannot be resumed"),
        ):
            await check(page, link)
            await expect(result).to_contain_text(problem)
            await expect(result).to_contain_text(resolution)
        await page.route("**/api/v1/probe", lambda route: route.abort())
        await check(page, origin.url("/other"))
        await expect(result).to_contain_text("The server cannot be reached.")


async def test_a_user_without_the_permission_is_told(browser: Browser, tmp_path: Path) -> None:
    config = config_of_viewer()
    async with DaemonProcess(tmp_path, config=config) as daemon, open_page_session(browser, daemon) as page_session:
        await check(page_session.page, "https://files.example.com/x")
        await page_session.wait_for_text("#probe", "You lack the permission for this.")


async def test_a_check_ends_when_the_text_changes_or_the_user_stops_it(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/silent", ScriptedResponse(size=3, head_event=asyncio.Event()))
    async with open_page_session(browser, daemon) as page_session:
        page, result = page_session.page, page_session.page.locator("#probe")
        await check(page, origin.url("/silent"))
        await expect(result).to_contain_text("Asking the server…")
        await origin.wait_requested("/silent")
        # Of several links none is checked.
        await page.get_by_label("Links").fill(f"{origin.url('/silent')}\n{origin.url('/f')}")
        await expect(result).to_be_empty()
        await expect(page.locator("#check")).to_be_hidden()
        await wait_until(lambda: probed(daemon) == [499])
        await check(page, origin.url("/silent"))
        await origin.wait_requested("/silent", times=2)
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(result).to_be_empty()
        await wait_until(lambda: probed(daemon) == [499, 499])
        origin.script("/f", RELEASE)
        await check(page, origin.url("/f"))
        await expect(result).to_contain_text("3.00 MiB")
    assert len(origin.requests("/silent")) == 2


async def test_a_result_is_accessible_and_fits(
    browser: Browser, daemon: DaemonProcess, origin: Origin, axe: Path
) -> None:
    long = f"/{'very-long-name-without-a-break-' * 5}.zip"
    origin.script("/latest", redirect(long))
    origin.script(long, ScriptedResponse(body=b"<html>", content_type="text/html"))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await load_axe(page, axe)
        for link, text in ((origin.url("/latest"), "Attention"), (origin.url("/gone"), "404")):
            await check(page, link)
            await page_session.wait_for_text("#probe", text)
            assert await page.locator("#probe").get_attribute("aria-live") == "polite"
            assert await find_problems(page) == []
