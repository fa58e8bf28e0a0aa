"""Actions of the page on many rows, on finished files, and those that can be undone; one browser and daemon for all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.page_session import open_page_session
from support.waiting import wait_until

UNDO_MILLISECONDS = 10_000
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f6"
    "45400000000049454e44ae426082"
)


@pytest_asyncio.fixture(loop_scope="session")
async def stalled(tmp_path: Path, origin: Origin) -> AsyncIterator[DaemonProcess]:
    """Start a daemon with six downloads: two that stall, and four that wait."""
    async with DaemonProcess(tmp_path, config=make_config(max_concurrent=2)) as daemon:
        for number in range(6):
            origin.script(f"/f{number}", ScriptedResponse(size=1000 * (number + 1), stall_after=10))
            await daemon.start_download("even" if number % 2 == 0 else "odd", origin.url(f"/f{number}"))
        yield daemon


def row(page: Page, name: str) -> Any:
    return page.locator("#active .row:not(.group)", has_text=name)


async def names(page: Page) -> list[str]:
    return [text.rpartition("/")[2] for text in await page.locator("#active .row .name").all_inner_texts()]


async def test_rows_are_selected_sorted_and_grouped_and_changed_together(
    browser: Browser, stalled: DaemonProcess
) -> None:
    async with open_page_session(browser, stalled) as session:
        page = session.page
        await expect(page.locator("#active .row")).to_have_count(6)
        await page.get_by_label("Sort by").select_option("size")
        await wait_until(lambda: is_order(page, "f5 f4 f3 f2 f1 f0", known={"f0", "f1"}))
        await page.get_by_label("Sort by").select_option("name")
        await wait_until(lambda: is_order(page, "f0 f1 f2 f3 f4 f5"))
        await page.get_by_label("Group by").select_option("directory")
        await wait_until(lambda: is_order(page, "f0 f2 f4 f1 f3 f5"))
        await expect(page.locator("#active .group")).to_have_count(2)
        # The arrangement is that of the next visit too.
        await page.reload()
        await wait_until(lambda: is_order(page, "f0 f2 f4 f1 f3 f5"))
        bar = page.get_by_role("group", name="Selected downloads")
        await expect(bar).to_be_hidden()
        await page.get_by_label("Select all of even/").check()
        await expect(bar).to_contain_text("3 selected")
        await bar.get_by_role("button", name="Pause").click()
        for name in ("f0", "f2", "f4"):
            await expect(row(page, name)).to_have_attribute("data-status", "paused")
        await expect(bar.get_by_role("button", name="Pause")).to_be_disabled()
        await bar.get_by_role("button", name="Resume").click()
        await expect(row(page, "f4")).to_have_attribute("data-status", "queued")
        await bar.get_by_role("button", name="Select none").click()
        await expect(bar).to_be_hidden()
        # From one to another one, with Shift.
        await page.get_by_label("Group by").select_option("")
        await page.get_by_label("Select f1").click()
        await page.get_by_label("Select f4").click(modifiers=["Shift"])
        await expect(bar).to_contain_text("4 selected")
        await page.clock.install()
        await bar.get_by_role("button", name="Cancel").click()
        await expect(row(page, "f4")).to_contain_text("Cancelled, can be undone")
        await page.clock.fast_forward(UNDO_MILLISECONDS)

        async def are_cancelled() -> bool:
            return {entry["filename"] for entry in await stalled.history()} == {"f1", "f2", "f3", "f4"}

        await wait_until(are_cancelled)


async def is_order(page: Page, order: str, *, known: set[str] | None = None) -> bool:
    found = await names(page)
    if known is None:
        return found == order.split()
    # The sizes of the others are unknown: they come last.
    return [name for name in found if name in known] == [name for name in order.split() if name in known]


async def test_a_cancellation_is_undone_and_rows_stay_under_the_pointer(
    browser: Browser, stalled: DaemonProcess
) -> None:
    async with open_page_session(browser, stalled) as session:
        page = session.page
        await expect(row(page, "f0")).to_have_attribute("data-status", "downloading")
        await page.clock.install()
        before = await row(page, "f3").bounding_box()
        await row(page, "f0").get_by_role("button", name="Cancel f0").click()
        await expect(row(page, "f0")).to_contain_text("Cancelled, can be undone")
        # The pause has freed its slot, and the order of starting is another one; nothing moves.
        await expect(row(page, "f2")).to_have_attribute("data-status", "downloading")
        await page.get_by_role("button", name="Undo f0").click()
        await expect(row(page, "f0")).to_have_attribute("data-status", "queued")
        await row(page, "f2").get_by_role("button", name="Cancel f2").click()
        await page.clock.fast_forward(UNDO_MILLISECONDS)
        await expect(row(page, "f2")).to_have_attribute("data-status", "cancelled")
        await expect(row(page, "f2").get_by_role("button", name="Cancel")).to_be_hidden()
        assert await row(page, "f3").bounding_box() == before
        assert [entry["filename"] for entry in await stalled.history()] == ["f2"]
        await page.mouse.move(2, 2)
        await expect(row(page, "f2")).to_have_count(0)


async def test_a_page_that_is_closed_ends_the_time_to_undo(browser: Browser, stalled: DaemonProcess) -> None:
    async with open_page_session(browser, stalled) as session:
        await row(session.page, "f5").get_by_role("button", name="Cancel f5").click()
        await expect(row(session.page, "f5")).to_contain_text("can be undone")
        await session.page.goto("about:blank")

        async def is_cancelled() -> bool:
            return [entry["filename"] for entry in await stalled.history()] == ["f5"]

        await wait_until(is_cancelled)


async def test_a_finished_file_is_shown_and_saved(browser: Browser, daemon: DaemonProcess, origin: Origin) -> None:
    for name, content_type, body in (
        ("a.png", "image/png", PNG),
        ("b.txt", "text/plain", "Grüße <b>nicht fett</b>".encode()),
        ("c.html", "text/html", b"<script>document.title='attacked'</script>"),
    ):
        origin.script(f"/{name}", ScriptedResponse(body=body, content_type=content_type))
        await daemon.fetch("d", origin.url(f"/{name}"))
    async with open_page_session(browser, daemon) as session:
        page = session.page
        await page.get_by_role("link", name="History").click()
        preview = page.locator("#preview")
        await open_preview(page, "d/a.png")
        await expect(preview.locator("img")).to_be_visible()
        assert await preview.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
        await page.keyboard.press("Escape")
        await open_preview(page, "d/b.txt")
        await expect(preview.locator("pre")).to_have_text("Grüße <b>nicht fett</b>")
        async with page.expect_download() as saved:
            await page.get_by_role("button", name="Save the file", exact=True).click()
        assert Path(await (await saved.value).path()).read_bytes() == "Grüße <b>nicht fett</b>".encode()
        await page.keyboard.press("Escape")
        await open_preview(page, "d/c.html")
        await expect(preview).to_contain_text("Files of this type are not shown here.")
        await page.keyboard.press("Escape")
        async with page.expect_download() as saved:
            await page.get_by_role("button", name="Save c.html").click()
        assert (await saved.value).suggested_filename == "c.html"
        assert await page.title() == "downloadd"
        # The files of the same directory, from the details.
        await page.get_by_role("button", name="d/a.png").click()
        await page.get_by_role("button", name="Files in this directory").click()
        files = page.locator("#files li")
        await expect(files).to_have_count(3)
        await expect(page.locator("#files-directory")).to_have_value("d")
        async with page.expect_download() as saved:
            await files.get_by_role("button", name="Save b.txt").click()
        assert (await saved.value).suggested_filename == "b.txt"
        await files.get_by_role("button", name="a.png", exact=True).click()
        await expect(page.get_by_role("dialog")).to_contain_text("d/a.png")
        await page.keyboard.press("Escape")
        # A file that comes meanwhile is added, and the focus stays.
        await daemon.fetch("d/deep", origin.url("/b.txt"))
        await expect(files).to_have_count(4)
        await expect(files.get_by_role("button", name="a.png", exact=True)).to_be_focused()
        await files.get_by_role("button", name="deep/").click()
        await expect(files).to_have_count(1)
        await page.locator("#above").get_by_role("button", name="Storage root").click()
        await expect(files.get_by_role("button", name="d/")).to_be_visible()
        await page.locator("#files-directory").fill("nowhere")
        await page.keyboard.press("Enter")
        await session.wait_for_text("#no-files", "There is no such directory.")
        await page.locator("#files-directory").fill("/d/")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Finished downloads here").click()
        await expect(page.get_by_label("Only in this directory")).to_have_value("d")
        await expect(page.locator("#past .row")).to_have_count(3)


async def open_preview(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name).click()
    await page.get_by_role("button", name="Preview").click()


async def test_a_retry_in_the_history_shows_its_effect_and_all_failed_ones_are_retried(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    for number in range(3):
        origin.script(f"/f{number}", error_response(404))
        await daemon.fetch("d", origin.url(f"/f{number}"))
    origin.script("/f0", ScriptedResponse(size=100, body_event=asyncio.Event()))
    async with open_page_session(browser, daemon) as session:
        page = session.page
        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("link", name="History").click()
        first = page.locator("#past .row", has_text="d/f0")
        await first.get_by_role("button", name="Try f0 again").focus()
        await page.keyboard.press("Enter")
        await expect(first).to_contain_text("Started again")
        await expect(first).to_have_attribute("data-status", "downloading")
        await expect(first.get_by_role("button", name="Try f0 again")).to_be_hidden()
        assert await page.evaluate("document.activeElement.closest('.row')?.textContent.includes('d/f0')")
        for number in (1, 2):
            origin.script(f"/f{number}", ScriptedResponse(size=10))
        await page.get_by_role("button", name="Retry all failed").click()
        await session.wait_for_text(".notice", "2 downloads start again.")
        for number in (1, 2):
            await expect(page.locator("#past .row", has_text=f"d/f{number}")).to_have_attribute(
                "data-status", "completed"
            )
        # Several entries are removed at once, with their files.
        await page.get_by_label("Select f1").check()
        await page.get_by_label("Select f2").check()
        await page.get_by_role("button", name="Remove with files…").click()
        await expect(page.locator("#past .row")).to_have_count(1)
        assert daemon.files() == {}


async def test_free_space_and_quotas_are_shown(browser: Browser, tmp_path: Path) -> None:
    config = make_config() + '\n[[directories]]\npath = "team \\"a\\""\nquota = "1 MiB"\n'
    async with DaemonProcess(tmp_path, config=config) as daemon:
        place = daemon.root / 'team "a"'
        place.mkdir()
        (place / "f").write_bytes(bytes(1 << 19))
        async with open_page_session(browser, daemon) as session:
            await session.wait_for_text("#storage", "free")
            item = session.page.locator("#space li", has_text='team "a"/')
            await expect(item).to_contain_text("512 KiB of 1.00 MiB")


async def test_the_page_speaks_the_language_of_the_browser(browser: Browser, stalled: DaemonProcess) -> None:
    async with open_page_session(browser, stalled, sign="Verbunden", locale="de-AT") as session:
        page = session.page
        assert await page.evaluate("document.documentElement.lang") == "de"
        await expect(page.get_by_role("button", name="Wartend 4")).to_be_visible()
        await expect(page.get_by_label("Downloads dürfen beginnen")).to_be_checked()
        await page.get_by_label("Links", exact=True).fill("https://a.example/1 https://a.example/2")
        await session.wait_for_text("#found", "2 Links gefunden")
        await expect(row(page, "f4")).to_contain_text("2 Downloads laufen (max_concurrent)")
        await page.get_by_label("f0 auswählen").check()
        await expect(page.get_by_role("group", name="Ausgewählte Downloads")).to_contain_text("1 ausgewählt")
