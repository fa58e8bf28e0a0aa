"""The page in a browser, with a daemon and an origin."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from end_to_end.test_imports import export, serve
from playwright.async_api import Browser, expect
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess, config_of_viewer, make_config, running_daemon
from support.downloads import make_download
from support.import_files import packed
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.page_looks import find_problems, load_axe
from support.page_session import open_page_session
from support.ports import free_port
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.download import Download, new_id
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State

UNDO_MILLISECONDS = 10_000


# -- signing in --------------------------------------------------------------------------------------------------------


async def test_a_user_signs_in_with_the_token_and_stays_signed_in(browser: Browser, daemon: DaemonProcess) -> None:
    async with open_page_session(browser, daemon, token=None) as page_session:
        page = page_session.page
        await page.get_by_label("Token").fill("not-the-token-at-all-not-the-token-at-all")
        await page.get_by_role("button", name="Sign in").click()
        await page_session.wait_for_text("#sign-in-problem", "The daemon does not know this token")
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await page_session.wait_for_text("#connection", "Live")
        await page.reload()
        await page_session.wait_for_text("#connection", "Live")
        assert await page.evaluate("Object.values(localStorage).join() + document.cookie") == ""
        await page.get_by_role("button", name="Sign out").click()
        await page_session.wait_for_text("#sign-in", "Sign in")
        assert await page.evaluate("sessionStorage.length") == 0


async def test_the_link_of_the_first_start_signs_in_and_leaves_no_token_behind(
    browser: Browser, daemon: DaemonProcess
) -> None:
    async with open_page_session(browser, daemon) as page_session:
        assert page_session.page.url == f"{daemon.url}/"
        assert TOKEN not in await page_session.page.evaluate("JSON.stringify(history.state) + location.href")
    assert TOKEN not in daemon.log.read_text()


async def test_an_expired_token_requires_a_new_sign_in_and_keeps_the_input(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    new = "another-token-another-token-another-token"
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_label("Links").fill(origin.url("/f"))
        old, other = (hashlib.sha256(token.encode()).hexdigest() for token in (TOKEN, new))
        await daemon.reload(DEFAULT_CONFIG.replace(old, other))
        await page_session.wait_for_text("#sign-in-problem", "your input is kept")
        await page.get_by_label("Token").fill(new)
        await page.get_by_role("button", name="Sign in").click()
        await page_session.wait_for_text("#connection", "Live")
        await page.get_by_role("button", name="Download", exact=True).click()
        await page_session.wait_for_text("#ended", "f")


async def test_a_missing_permission_is_explained(browser: Browser, tmp_path: Path) -> None:
    config = config_of_viewer()
    async with DaemonProcess(tmp_path, config=config) as daemon, open_page_session(browser, daemon) as page_session:
        await page_session.page.get_by_label("Links").fill("https://files.example.com/x")
        await page_session.page.get_by_role("button", name="Download", exact=True).click()
        await page_session.wait_for_text(".notice", "You lack the permission for this.")
        assert await page_session.page.get_by_label("Links").input_value() == "https://files.example.com/x"
        await page_session.page.get_by_role("link", name="Imports").click()
        await page_session.wait_for_text("#no-imports", "You lack the permission to import.")


# -- adding ------------------------------------------------------------------------------------------------------------


async def test_links_are_found_in_a_pasted_text(browser: Browser, daemon: DaemonProcess, origin: Origin) -> None:
    for name in ("one", "two"):
        origin.script(f"/{name}", ScriptedResponse(size=10))
    lines = ["Lorem ipsum dolor sit amet, consectetur:" for _ in range(200)]
    lines[10] = f"see ({origin.url('/one')}), please"
    lines[90] = f'<a href="{origin.url("/two")}">two</a> and again {origin.url("/one")}.'
    lines[150] = "but not http://10.0.0.1/inside!"
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_label("Links").fill("\n".join(lines))
        await page_session.wait_for_text("#found", "3 links found, 197 lines without a link")
        await page.get_by_role("button", name="Download 3 files").click()
        await page_session.wait_for_text(".notice", "2 downloads started. 1 link was refused")
        # A refused link stays in the form, with the explanation of the error table.
        await page_session.wait_for_text("#refused", "Domain not allowed")
        await page_session.wait_for_text("#refused", "Contact administrator to whitelist this domain")
        assert await page.get_by_label("Links").input_value() == "http://10.0.0.1/inside"
        await wait_until(lambda: {"one", "two"} <= set(daemon.files()))


async def test_options_reach_the_download(browser: Browser, daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1000, stall_after=100))
    (daemon.root / "Films" / "2026").mkdir(parents=True)
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_label("Links").fill(origin.url("/f"))
        await page.get_by_label("Directory", exact=True).fill("Films/")
        await page.locator("#directories option[value='Films/2026']").wait_for(state="attached")
        await page.get_by_label("Directory", exact=True).fill("/Films/2026/")
        await page.get_by_text("Options").click()
        await page.get_by_label("File name").fill("ours.mkv")
        await page.locator("#limit").fill("1.5")
        await page.locator("#priority").fill("7")
        await page.get_by_label("Keep it if it is the same").check()
        await page.get_by_label("Start paused").check()
        await page.get_by_label("Links").press("Control+Enter")
        row = await page_session.row("Films/2026/ours.mkv")
        await expect(row).to_have_attribute("data-status", "paused")
        [entry] = await daemon.active()
        assert (entry["priority"], entry["speed_limit"]) == (7, 1_572_864)
    await daemon.stop()
    async with SqliteRecords(daemon.state, SystemClock()) as records:
        download = await records.get(entry["id"])
        assert download is not None
        assert download.request.skip_same


async def test_a_web_page_in_place_of_a_file_is_shown_or_refused(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f.zip", ScriptedResponse(body=b"<html>sign in</html>", content_type="text/html"))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_label("Links").fill(origin.url("/f.zip"))
        await page.get_by_label("Links").press("Control+Enter")
        await page_session.wait_for_text("#ended", "with a warning")
        await page.get_by_label("Links").fill(origin.url("/f.zip"))
        await page.get_by_text("Options").click()
        await page.locator("#type").fill("application/zip")
        await page.get_by_label("Links").press("Control+Enter")
        await page_session.wait_for_text("#ended", "Unexpected content")
        await page.get_by_role("link", name="History").click()
        await page_session.wait_for_text("#past", "in place of a .zip file")
        await page_session.wait_for_text("#past", "received a web page (text/html) instead of application/zip")


async def test_a_repeated_request_after_a_lost_connection_starts_nothing_twice(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page

        async def break_off(route: Any) -> None:
            # The request arrives, and its answer is lost.
            await route.fetch()
            await route.abort()

        await page.route("**/api/v1/downloads", break_off, times=1)
        await page.get_by_label("Links").fill(origin.url("/f"))
        await page.get_by_role("button", name="Download", exact=True).click()
        await page_session.wait_for_text(".notice", "The server cannot be reached.")
        assert await page.get_by_label("Links").input_value() == origin.url("/f")
        await page.get_by_role("button", name="Download", exact=True).click()
        await page_session.wait_for_text(".notice", "1 download started.")
        assert len(origin.requests("/f")) == 1


DROP = """([name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name));
  dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


async def test_a_dropped_file_is_a_list_an_export_or_nothing(browser: Browser, daemon: DaemonProcess) -> None:
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_label("Links").fill("https://a.example/1")
        await page.evaluate(DROP, ["list.txt", "https://a.example/2\n# no\nhttps://a.example/3\n"])
        await page_session.wait_for_text("#found", "3 links found")
        await page.evaluate(DROP, ["photo.jpg", "\xff\xd8\x00\x00"])
        await page_session.wait_for_text("#refused", "photo.jpg is not a list of links.")
        await page.evaluate(DROP, ["poem.txt", "no link at all"])
        await page_session.wait_for_text("#refused", "There is no link in poem.txt.")
        assert "https://a.example/1" in await page.get_by_label("Links").input_value()
        await page.evaluate(DROP, ["table.csv", "url\nhttps://a.example/2\n"])
        await page_session.wait_for_text("#chosen", "table.csv")
        assert await page.locator("#importer").input_value() == "csv"


# -- watching ----------------------------------------------------------------------------------------------------------


async def test_a_download_is_watched_paused_changed_and_cancelled(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/film.mkv", ScriptedResponse(size=30_000_000, rate=1_000_000))
    await daemon.start_download("Films", origin.url("/film.mkv"))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        row = await page_session.row("Films/film.mkv")
        await expect(row).to_have_attribute("data-status", "downloading")
        bar = row.get_by_role("progressbar")
        before = float(await bar.get_attribute("value") or 0)

        async def has_moved() -> bool:
            return float(await bar.get_attribute("value") or 0) > before + 3

        await wait_until(has_moved)
        await expect(row).to_contain_text("of 28.6 MiB")
        await expect(row).to_contain_text("left")
        await row.get_by_role("button", name="Pause film.mkv").click()
        await expect(row).to_have_attribute("data-status", "paused")
        await row.get_by_role("button", name="Resume film.mkv").click()
        await expect(row).to_have_attribute("data-status", "downloading")
        await row.get_by_role("button", name="Films/film.mkv").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text(origin.url("/film.mkv"))
        await dialog.get_by_label("Priority").fill("5")
        await dialog.get_by_label("Limit").fill("0.25")
        await dialog.get_by_role("button", name="Change").click()
        await page_session.wait_for_text(".notice", "Changed.")
        [entry] = await daemon.active()
        assert (entry["priority"], entry["speed_limit"]) == (5, 262_144)
        # A change of something else keeps a limit that is rounded for the form.
        await daemon.amend(entry["id"], speed_limit=500)

        async def shows_limit() -> bool:
            await row.get_by_role("button", name="Films/film.mkv").click()
            if await dialog.get_by_label("Limit").input_value() == "0.0004768":
                return True
            await page.keyboard.press("Escape")
            return False

        await wait_until(shows_limit)
        await dialog.get_by_label("Priority").fill("6")
        await dialog.get_by_role("button", name="Change").click()

        async def has_priority() -> bool:
            [entry] = await daemon.active()
            return bool(entry["priority"] == 6 and entry["speed_limit"] == 500)

        await wait_until(has_priority)
        await daemon.amend(entry["id"], speed_limit=262_144)
        await row.get_by_role("button", name="Films/film.mkv").click()
        await dialog.get_by_label("Rename to").fill("short.mkv")
        await dialog.get_by_label("Move to").fill("Shorts")
        await dialog.get_by_role("button", name="Change").click()
        await expect(row).to_have_count(0)
        row = await page_session.row("Shorts/short.mkv")
        await row.get_by_role("button", name="Cancel short.mkv").click()
        await page_session.wait_for_text("#ended", "Cancelled")
        await expect(page.locator("#nothing-active")).to_be_visible()
        assert await daemon.active() == []


async def test_downloads_are_moved_in_the_queue_by_keyboard_and_in_the_dialog(
    browser: Browser, tmp_path: Path, origin: Origin
) -> None:
    config = make_config(max_concurrent=1)
    async with DaemonProcess(tmp_path, config=config) as daemon:
        for number in range(5):
            origin.script(f"/f{number}", ScriptedResponse(size=1000, stall_after=10))
            await daemon.start_download("d", origin.url(f"/f{number}"))
        async with open_page_session(browser, daemon) as page_session:
            page = page_session.page
            names = page.locator("#active .row .name")

            async def order() -> list[str]:
                return [name.removeprefix("d/") for name in await names.all_inner_texts()]

            await wait_until(lambda: order_is(order, "f0", "f1", "f2", "f3", "f4"))
            await expect(page.locator("#active .row", has_text="f0")).to_have_attribute("data-status", "downloading")
            await expect(page.get_by_role("button", name="Move up f0")).to_be_hidden()
            up = page.get_by_role("button", name="Move up f3")
            await up.focus()
            await page.keyboard.press("Enter")
            await wait_until(lambda: order_is(order, "f0", "f1", "f3", "f2", "f4"))
            # The focus moves with the row, so that the next press moves it further.
            await expect(up).to_be_focused()
            await page.keyboard.press("Enter")
            await wait_until(lambda: order_is(order, "f0", "f3", "f1", "f2", "f4"))
            await page.get_by_role("button", name="Move down f1").click()
            await wait_until(lambda: order_is(order, "f0", "f3", "f2", "f1", "f4"))
            await page.get_by_role("button", name="d/f4", exact=True).click()
            dialog = page.get_by_role("dialog")
            await dialog.get_by_role("button", name="To the top").click()
            await expect(dialog.get_by_role("status")).to_have_text("First in the queue.")
            await wait_until(lambda: order_is(order, "f0", "f4", "f3", "f2", "f1"))
            await dialog.get_by_role("button", name="Down", exact=True).click()
            await expect(dialog.get_by_role("status")).to_have_text("Number 2 in the queue.")
            await page.keyboard.press("Escape")
            await wait_until(lambda: order_is(order, "f0", "f3", "f4", "f2", "f1"))
            [running] = [entry for entry in await daemon.active() if entry["status"] == "downloading"]
            await daemon.control(running["id"], "cancel")
            await expect(page.locator("#active .row", has_text="f3")).to_have_attribute("data-status", "downloading")


async def order_is(order: Callable[[], Awaitable[list[str]]], *names: str) -> bool:
    return await order() == [*names]


async def test_an_error_is_shown_with_its_resolution(browser: Browser, daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/gone", error_response(404))
    origin.script("/busy", error_response(503))
    await daemon.start_download("d", origin.url("/busy"))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        row = await page_session.row("d/busy")
        await expect(row).to_contain_text("Remote error")
        await expect(row).to_contain_text("the next attempt starts in")
        await daemon.fetch("d", origin.url("/gone"))
        await page_session.wait_for_text("#ended", "Remote file not found")
        await page.locator("#ended").get_by_role("button", name="gone").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Verify the URL is correct and the file exists.")
        origin.script("/gone", ScriptedResponse(size=10))
        await dialog.get_by_role("button", name="Try again").click()
        await page_session.wait_for_text("#ended", "Completed")
        # One announcement for all downloads that ended together.
        await page_session.wait_for_text("#announcements", "1 download completed.")


async def test_a_lost_connection_is_shown_and_restored(
    browser: Browser, restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", [ScriptedResponse(size=100_000_000, rate=100_000), ScriptedResponse(size=100)])
    await restartable.start()
    await restartable.start_download("d", origin.url("/f"), conflict="overwrite")
    async with open_page_session(browser, restartable) as page_session:
        await page_session.row("d/f")
        await page_session.page.get_by_label("Links").fill("https://kept.example/")
        await restartable.kill()
        await page_session.wait_for_text("#connection", "Connection lost")
        await restartable.start()
        await page_session.wait_for_text("#connection", "Live")
        await page_session.wait_for_text("#ended", "f")
        assert await page_session.page.get_by_label("Links").input_value() == "https://kept.example/"
        page_session.errors.clear()


async def test_hosts_in_trouble_are_shown_until_they_have_recovered(browser: Browser, daemon: DaemonProcess) -> None:
    port = free_port()
    await daemon.start_download("d", f"http://127.0.0.1:{port}/f")
    async with open_page_session(browser, daemon) as page_session:
        await page_session.wait_for_text("#hosts", f"127.0.0.1:{port}")
        async with Origin(port=port) as origin:
            origin.script("/f", ScriptedResponse(size=10))
            await page_session.page.locator("#hosts").wait_for(state="hidden")


async def test_the_use_of_quotas_is_shown(browser: Browser, tmp_path: Path) -> None:
    config = DEFAULT_CONFIG + 'max_concurrent = 3\nstored_bytes = "1 GiB"\n'
    async with running_daemon(tmp_path, config=config) as daemon, open_page_session(browser, daemon) as page_session:
        await page_session.wait_for_text("#quota", "0 of 3")
        await page_session.wait_for_text("#quota", "1.00 GiB")


async def test_schedules_are_added_run_changed_and_removed(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/prices.csv", [ScriptedResponse(size=10, etag='"v"'), error_response(304)])
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page_session.wait_for_text("#schedules", "None.")
        await page.get_by_role("button", name="Add a schedule…").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name", exact=True).fill("prices")
        await dialog.get_by_label("Link").fill(origin.url("/prices.csv"))
        await dialog.get_by_label("Times").fill("0 0 1 13 *")
        await dialog.get_by_role("button", name="Add").click()
        await page_session.wait_for_text("#schedule-problem", "cron")
        await dialog.get_by_label("Times").fill("0 0 1 1 *")
        await dialog.get_by_label("Save in").fill("/d/")
        await page.keyboard.press("Enter")
        await expect(dialog).to_be_hidden()
        await page_session.wait_for_text("#schedules", "prices")
        button = page.get_by_role("button", name="Run prices now")
        await button.click()
        await page_session.wait_for_text("#schedules", "Completed")
        await button.click()
        await page_session.wait_for_text("#schedules", "unchanged · next run")
        await expect(button).to_be_focused()
        await page.get_by_role("button", name="Change prices").click()
        await dialog.get_by_label("Paused").check()
        await dialog.get_by_role("button", name="Change", exact=True).click()
        await page_session.wait_for_text("#schedules", "unchanged · paused")
        # What was not changed stays, also the URL, which is shown without credentials.
        [schedule] = (await daemon.request("GET", "/api/v1/schedules"))[1]["schedules"]
        assert (schedule["url"], schedule["directory"], schedule["paused"]) == (origin.url("/prices.csv"), "d", True)
        page.on("dialog", lambda question: question.accept())
        await page.get_by_role("button", name="Change prices").click()
        await dialog.get_by_role("button", name="Remove…").click()
        await page_session.wait_for_text("#schedules", "None.")


async def test_filters_search_and_actions_for_all(browser: Browser, tmp_path: Path, origin: Origin) -> None:
    for number in range(6):
        origin.script(f"/f{number}", ScriptedResponse(size=1000, stall_after=10))
    async with DaemonProcess(tmp_path, config=make_config(max_concurrent=2)) as daemon:
        for number in range(6):
            await daemon.start_download("d", origin.url(f"/f{number}"))
        async with open_page_session(browser, daemon) as page_session:
            page = page_session.page
            await expect(page.get_by_role("button", name="All 6")).to_be_visible()
            await expect(page.get_by_role("button", name="Running 2")).to_be_visible()
            await page.get_by_role("button", name="Waiting 4").click()
            await expect(page.locator("#active .row")).to_have_count(4)
            await page.get_by_role("button", name="Pause all").click()
            await expect(page.get_by_role("button", name="Paused 4")).to_be_visible()
            await page.get_by_role("button", name="All 6").click()
            await page.keyboard.press("/")
            await page.keyboard.type("f5")
            await expect(page.locator("#active .row")).to_have_count(1)
            await page.get_by_label("Find active downloads").fill("")
            async with page.expect_request("**/api/v1/downloads/*resume") as request:
                await page.get_by_role("button", name="Resume all").click()
            # Without a filter, one call changes all.
            assert (await request.value).url.endswith("/api/v1/downloads/resume")
            await expect(page.get_by_role("button", name="Paused 0")).to_be_visible()


async def test_a_thousand_moving_downloads_use_little_cpu_in_the_browser(
    browser: Browser, tmp_path: Path, origin: Origin
) -> None:
    origin.set_fallback(lambda _: ScriptedResponse(size=10_000_000, rate=4000))
    config = make_config(max_concurrent=1000, max_per_host=1000)
    async with DaemonProcess(tmp_path, config=config) as daemon:
        requests = [{"url": origin.url(f"/{number}"), "directory": "many"} for number in range(1000)]
        await daemon.request("POST", "/api/v1/downloads", json={"downloads": requests})
        async with open_page_session(browser, daemon) as page_session:
            page = page_session.page
            await page_session.wait_for_text("#filters", "Running 1,000")
            session = await page.context.new_cdp_session(page)
            await session.send("Performance.enable")

            async def busy() -> float:
                metrics = (await session.send("Performance.getMetrics"))["metrics"]
                return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

            async def share_of_a_core() -> float:
                began, before = time.monotonic(), await busy()
                await page.wait_for_timeout(2000)
                return (await busy() - before) / (time.monotonic() - began)

            # Alone, it is 5 to 8 %. A task that waits for the CPU counts as busy, so the best of three periods counts.
            shares = [await share_of_a_core()]
            while min(shares) >= 0.3 and len(shares) < 3:
                shares.append(await share_of_a_core())
            assert await page.locator("#active .row").count() < 40
            assert min(shares) < 0.3, shares
            await page.mouse.wheel(0, 40_000)
            await page_session.row("many/480")


# -- limits on all downloads -------------------------------------------------------------------------------------------


async def test_the_limits_are_changed_by_keyboard_and_shown_on_other_pages(
    browser: Browser, tmp_path: Path, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10, body_event=asyncio.Event()))
    config = make_config(max_concurrent=1)
    async with (
        DaemonProcess(tmp_path, config=config) as daemon,
        open_page_session(browser, daemon) as page_session,
        open_page_session(browser, daemon) as other_session,
    ):
        page, other = page_session.page, other_session.page
        for _ in range(3):
            await daemon.start_download("d", origin.url("/f"))
        runs, speed = page.get_by_label("Downloads at once"), page.get_by_label("Limit of all, MiB/s")
        await expect(runs).to_have_value("1")
        await expect(speed).to_have_value("")
        button = page.get_by_role("button", name="Change", exact=True)
        await expect(button).to_be_hidden()
        # What is typed on another page stays there.
        await other.get_by_label("Limit of all, MiB/s").fill("7")
        await runs.fill("2")
        await page.keyboard.press("Enter")
        await page_session.wait_for_text(".notice", "The limits are changed.")
        await expect(runs).to_be_focused()
        await wait_until(lambda: origin.active("/f") == 2)
        await expect(other.get_by_label("Downloads at once")).to_have_value("2")
        await expect(other.get_by_label("Limit of all, MiB/s")).to_have_value("7")
        await speed.focus()
        await page.keyboard.type("1.5")
        for _ in range(3):
            await page.keyboard.press("Tab")
        await expect(button).to_be_focused()
        await page.keyboard.press("Enter")
        # The button is gone.
        await expect(speed).to_be_focused()
        await expect(button).to_be_hidden()
        status, settings = await daemon.request("GET", "/api/v1/settings")
        assert (status, settings["max_concurrent"], settings["speed_limit"]) == (200, 2, 1_572_864)
        # No limit again, and a reload, which replaces all.
        await speed.fill("")
        await page.keyboard.press("Enter")
        await expect(button).to_be_hidden()
        assert (await daemon.request("GET", "/api/v1/settings"))[1]["speed_limit"] == 0
        hours = '[[limits]]\ndays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\nallow_starts = false\n'
        await daemon.reload(config.replace("max_concurrent = 1", "max_concurrent = 9") + hours)
        await expect(runs).to_have_value("9")
        starts = page.get_by_label("Downloads may start")
        await expect(starts).not_to_be_checked()
        await page_session.wait_for_text("#limits-hours", "Hours 00:00-24:00 UTC")
        await starts.check()
        await button.click()
        await expect(button).to_be_hidden()
        assert (await daemon.request("GET", "/api/v1/settings"))[1]["allow_starts"] is True


async def test_limits_out_of_range_are_not_sent_or_are_explained(browser: Browser, tmp_path: Path) -> None:
    config = config_of_viewer()
    async with DaemonProcess(tmp_path, config=config) as daemon, open_page_session(browser, daemon) as page_session:
        page = page_session.page
        runs = page.get_by_label("Downloads at once")
        await runs.fill("0")
        await page.keyboard.press("Enter")
        assert await runs.evaluate("field => field.validity.rangeUnderflow")
        await expect(page.locator(".notice")).to_have_count(0)
        await runs.fill("5")
        await page.keyboard.press("Enter")
        await page_session.wait_for_text(".notice", "You lack the permission for this.")
        await expect(runs).to_have_value("5")


# -- history -----------------------------------------------------------------------------------------------------------


async def write_history(state: Path, count: int) -> None:
    """Write a history with this number of rows."""
    async with SqliteRecords(state, SystemClock()) as records:
        for start in range(0, count, 10_000):
            await records.accept([ended(number) for number in range(start, min(count, start + 10_000))])


def ended(number: int) -> Download:
    failed = number % 10 == 0
    url = f"https://files.example.com/{number}.bin"
    return make_download(
        id=new_id(1_700_000_000 + number, number),
        user="u",
        url=url,
        redacted_url=url,
        origin="https://files.example.com",
        directory="even" if number % 2 == 0 else "odd",
        timeout=300,
        start_time=1_700_000_000 + number,
        end_time=1_700_000_000 + number,
        filename=f"{number}.bin",
        state=State.CANCELLED if failed else State.COMPLETED,
        total=None if failed else number,
    )


@pytest.mark.timeout(180)
async def test_a_long_history_is_searched_and_scrolled(
    browser: Browser, restartable: DaemonProcess, origin: Origin
) -> None:
    restartable.state.mkdir(mode=0o700)
    await write_history(restartable.state, 10_000)
    origin.script("/new.bin", ScriptedResponse(size=10))
    await restartable.start()
    async with open_page_session(browser, restartable) as page_session:
        page = page_session.page
        await page.get_by_role("link", name="History").click()
        await page_session.wait_for_text("#past", "9999.bin")
        rows = page.locator("#past .row")
        await page.mouse.move(600, 500)
        for number in range(9950, 9350, -60):
            while not await page.locator("#past .row", has_text=f"/{number}.bin").count():
                await page.mouse.wheel(0, 800)
                await page.wait_for_timeout(30)
        assert await rows.count() < 60
        await page.evaluate("scrollTo(0, 0)")
        await page.get_by_label("Part of a name or link").fill("4321.bin")
        await expect(rows).to_have_count(1)
        await page.locator("#outcome").select_option("cancelled")
        await page_session.wait_for_text("#nothing-past", "No finished download matches.")
        await page.get_by_label("Part of a name or link").fill("")
        await page_session.wait_for_text("#past", "9990.bin")
        await page.locator("#outcome").select_option("")
        await page.locator("#in-directory").fill("odd")
        await page.locator("#in-directory").press("Enter")
        await page_session.wait_for_text("#past", "odd/9999.bin")
        await expect(page.locator("#past")).not_to_contain_text("even/")
        # A download that ends meanwhile is added at the top.
        await restartable.fetch("odd", origin.url("/new.bin"))
        await expect(rows.first).to_contain_text("odd/new.bin")


async def test_entries_and_files_are_removed_from_the_history(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    for name in ("a", "b", "c", "d"):
        origin.script(f"/{name}.bin", ScriptedResponse(size=10))
        await daemon.fetch("one" if name == "d" else "many", origin.url(f"/{name}.bin"))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("link", name="History").click()
        rows = page.locator("#past .row")
        await expect(rows).to_have_count(4)
        await page.get_by_role("button", name="one/d.bin").click()
        await page.get_by_role("button", name="Remove with file…").click()
        await expect(rows).to_have_count(3)
        assert sorted(daemon.files()) == ["many/a.bin", "many/b.bin", "many/c.bin"]
        await page.get_by_role("button", name="many/c.bin").click()
        await page.get_by_role("button", name="Remove from history").click()
        await expect(rows).to_have_count(2)
        # Removed by another client.
        id = next(entry["id"] for entry in await daemon.history() if entry["filename"] == "b.bin")
        assert (await daemon.request("DELETE", f"/api/v1/downloads/{id}"))[0] == 200
        await expect(rows).to_have_count(1)
        await page.get_by_role("button", name="Remove these…").click()
        await page_session.wait_for_text("#nothing-past", "No finished downloads.")
        assert await daemon.history() == []
        assert sorted(daemon.files()) == ["many/a.bin", "many/b.bin", "many/c.bin"]


async def test_kept_parts_are_shown_and_tried_again_together(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    for name in ("a", "b"):
        broken = ScriptedResponse(size=3000, cut_after=2048, etag='"v"')
        origin.script(f"/{name}", [broken, ScriptedResponse(size=3000, etag='"v"')])
        await daemon.fetch("d", origin.url(f"/{name}"), max_retries=0)
    await daemon.fetch("d", origin.url("/gone"))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page_session.wait_for_text("#storage", "2 part files of failed downloads · 4.00 KiB")
        await page.get_by_role("button", name="Show kept parts").click()
        rows = page.locator("#past .row", has_text="2.00 KiB kept, retry continues")
        await expect(rows).to_have_count(2)
        await expect(page.locator("#past .row")).to_have_count(2)
        await page.get_by_label("Select a", exact=True).check()
        await page.get_by_role("button", name="Select all").click()
        await page.locator("#selected-past").get_by_role("button", name="Try again").click()
        await page_session.wait_for_text("#nothing-past", "No finished download matches.")
        assert sorted(daemon.files()) == ["d/a", "d/b"], await daemon.history()


# -- imports -----------------------------------------------------------------------------------------------------------


async def test_an_export_is_uploaded_selected_from_and_downloaded(
    browser: Browser, daemon: DaemonProcess, origin: Origin, tmp_path: Path
) -> None:
    serve(origin)
    file = tmp_path / "export.zip"
    file.write_bytes(packed(export(origin, ["F1", "F2", "F3"])))
    nonsense = tmp_path / "broken.zip"
    nonsense.write_bytes(b"PK\x03\x04 and nothing more")
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_role("link", name="Imports").click()
        await page.set_input_files("#export", nonsense)
        await page.get_by_role("button", name="Upload").click()
        await page_session.wait_for_text("#upload-problem", "broken.zip")
        await page.set_input_files("#export", file)
        await page.get_by_role("button", name="Upload").click()
        await page_session.wait_for_text("#contents", "3 messages, 2 channels, 1 user")
        await page.get_by_label("Find a channel").fill("gen")
        await expect(page.locator("#channels li:visible")).to_have_count(1)
        await page.get_by_label("Find a channel").fill("")
        await page.get_by_label("empty").uncheck()
        await page_session.wait_for_text("#chosen-channels", "1 of 2 channels selected")
        await page.get_by_label("Avatars of users").check()
        await page.get_by_role("button", name="Download files").click()
        await page_session.wait_for_text(".notice", "4 files to download.")
        await page_session.wait_for_text("#operations", "Done · 3 of 3 files")
        assert len([path for path in daemon.files() if path.endswith(".gif")]) == 3
        await page.get_by_role("button", name="Download pending files").click()
        await page_session.wait_for_text(".notice", "Nothing is pending.")


async def test_what_an_import_leaves_out_is_listed_and_failed_files_are_given_up(
    browser: Browser, daemon: DaemonProcess, origin: Origin, tmp_path: Path
) -> None:
    origin.script("/gone", error_response(404))
    file = tmp_path / "list.csv"
    file.write_text(f"url\n{origin.url('/gone')}\n{origin.url('/a,b')}\n")
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_role("link", name="Imports").click()
        await page.set_input_files("#export", file)
        await page.get_by_role("button", name="Upload").click()
        await page_session.wait_for_text("#contents", "1 left out")
        await page.get_by_role("button", name="Download files").click()
        run = page.locator("#operations li", has_text="1 file failed · 1 left out")
        await run.get_by_text("Left out", exact=True).click()
        await expect(run.locator("details li")).to_have_text("line 3: 2 cells, but the header has 1; quote cells")
        await run.get_by_role("button", name="Try failed files of Pending Files again").click()
        await page_session.wait_for_text(".notice", "1 file to download.")

        async def has_failed_again() -> bool:
            return len(await daemon.history(status="failed")) == 2

        # A file that is tried again has not failed yet.
        await wait_until(has_failed_again)
        await expect(page.locator("#operations li", has_text="1 file failed")).to_have_count(1)
        await page.get_by_role("button", name="Give up failed files").click()
        await page_session.wait_for_text("#operations", "1 file given up")
        await expect(page.get_by_role("button", name="Give up failed files")).to_have_count(0)
    assert len(origin.requests("/gone")) == 2


# -- accessibility -----------------------------------------------------------------------------------------------------


async def test_the_page_is_used_by_keyboard_alone(browser: Browser, daemon: DaemonProcess, origin: Origin) -> None:
    for number in range(4):
        origin.script(f"/f{number}", ScriptedResponse(size=1000, stall_after=10))
    for number in range(3):
        await daemon.start_download("d", origin.url(f"/f{number}"))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        # Those that run are above the others.
        for number in range(3):
            row = await page_session.row(f"d/f{number}")
            await expect(row).to_have_attribute("data-status", "downloading")
        await page.keyboard.press("n")
        await expect(page.get_by_label("Links")).to_be_focused()
        row = page.locator("#active .row", has_text="d/f0")
        await page.clock.install()
        await row.get_by_role("button", name="Cancel f0").focus()
        await page.keyboard.press("Enter")
        await expect(row.get_by_role("button", name="Undo f0")).to_be_focused()

        async def change_another_first(route: Any) -> None:
            await daemon.start_download("d", origin.url("/f3"))
            await page_session.row("d/f3")
            await route.continue_()

        # A frame between the end of the ten seconds and that of the download.
        await page.route("**/actions", change_another_first, times=1)
        await page.clock.fast_forward(UNDO_MILLISECONDS)
        await expect(row).to_have_count(0)
        # The focus stays in the list instead of the beginning of the page.
        focused = await page.evaluate("document.activeElement.closest('.row')?.textContent ?? ''")
        assert "d/f1" in focused
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_the_page_has_no_serious_accessibility_violation(
    browser: Browser, daemon: DaemonProcess, origin: Origin, axe: Path
) -> None:
    origin.script("/moving", ScriptedResponse(size=1_000_000, rate=1000))
    origin.script("/broken", error_response(500))
    origin.script("/gone", error_response(404))
    for path in ("/moving", "/broken"):
        await daemon.start_download("d", origin.url(path))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page

        await load_axe(page, axe)
        await daemon.start_download("d", origin.url("/gone"))
        await page_session.wait_for_text("#active", "Remote error")
        await page.get_by_text("Options").click()
        await page.get_by_label("Links").fill("http://10.0.0.1/")
        await page.locator("#add-button").click()
        await page_session.wait_for_text("#refused", "Domain not allowed")
        await page.get_by_label("Downloads at once").fill("3")
        await page_session.wait_for_text("#limits", "A change holds until")
        await page.get_by_label("Group by").select_option("host")
        await page.locator("#active").scroll_into_view_if_needed()
        await page.get_by_label("Select moving").check()
        await page.get_by_role("button", name="Cancel broken").click()
        assert await find_problems(page) == [], "downloads"
        await page.locator("#ended").get_by_role("button", name="gone").click()
        assert await find_problems(page) == [], "details"
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Add a schedule…").click()
        assert await find_problems(page) == [], "schedule"
        await page.keyboard.press("Escape")
        for view, sign in (("History", "d/gone"), ("Files", "Finished downloads here"), ("Imports", "No imports.")):
            await page.get_by_role("link", name=view).click()
            await page_session.wait_for_text("main", sign)
            assert await find_problems(page) == [], view
        await page.get_by_role("button", name="Sign out").click()
        assert await find_problems(page) == [], "sign-in"


async def test_the_page_works_below_a_prefix(browser: Browser, tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    config = f'{DEFAULT_CONFIG}[server]\nbase_path = "/fetch"\n'
    async with DaemonProcess(tmp_path, config=config) as daemon:
        site = daemon.url.removesuffix("/fetch")
        daemon.url = f"{site}/fetch"
        async with open_page_session(browser, daemon) as page_session:
            await page_session.page.get_by_label("Links").fill(origin.url("/f"))
            await page_session.page.locator("#add-button").click()
            await page_session.page.locator("#ended").get_by_role("button", name="f", exact=True).wait_for()
            await page_session.page.get_by_role("link", name="History").click()
            await page_session.wait_for_text("#past", "f")
            # The address without the slash is redirected.
            await page_session.page.goto(f"{site}/fetch#token={TOKEN}")
            await page_session.wait_for_text("#connection", "Live")
            assert page_session.page.url.startswith(f"{site}/fetch/")


async def test_the_colour_scheme_can_be_selected(browser: Browser, daemon: DaemonProcess) -> None:
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        back = "getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(back)
        await page.locator("#theme").click()
        await page.locator("#theme").click()
        dark = await page.evaluate(back)
        assert dark != light
        await page.reload()
        assert await page.evaluate(back) == dark


# -- delivery ----------------------------------------------------------------------------------------------------------


async def test_the_page_is_sent_with_a_strict_policy_and_only_when_it_has_changed(daemon: DaemonProcess) -> None:
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/") as response:
        assert response.content_type == "text/html"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["Cache-Control"] == "no-cache"
        tag = response.headers["ETag"]
        text = await response.text()
    assert "<style" not in text
    assert " style=" not in text
    assert "onclick" not in text
    async with daemon.client.get(f"{daemon.url}/", headers={"If-None-Match": f'"x", W/{tag}'}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with daemon.client.head(f"{daemon.url}/") as response:
        assert (response.status, response.headers["ETag"]) == (200, tag)
    async with daemon.client.get(f"{daemon.url}/api/v1/page/app.js") as response:
        assert response.content_type == "text/javascript"
    async with daemon.client.get(f"{daemon.url}/api/v1/page/package.json") as response:
        assert response.status == 404
