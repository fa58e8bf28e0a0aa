"""Work of the page with many rows: it depends on the visible ones, not on their number."""

from pathlib import Path

from playwright.async_api import Browser, Page, expect
from support.daemon_process import DaemonProcess, make_config
from support.page_session import open_page_session
from support.waiting import wait_until

COUNT = 3_000
SUSPENDED = make_config(max_concurrent=1) + "\n[[limits]]\nallow_starts = false\n"
"""Nothing starts, so that the rows change only when the test changes them."""

COUNT_CHANGES = """() => {
  window.changes = 0;
  new MutationObserver((records) => (window.changes += records.length)).observe(document.querySelector("#active"), {
    subtree: true, childList: true, attributes: true, characterData: true,
  });
}"""
COUNT_FRAMES = """() => {
  window.drawn = 0;
  const request = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => request((now) => { window.drawn += 1; draw(now); });
}"""


async def start_many(daemon: DaemonProcess) -> list[str]:
    items = [{"url": f"https://h{number % 9}.example/{number}", "directory": "d"} for number in range(COUNT)]
    status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    assert status == 201
    return [one["download_id"] for one in body["downloads"]]


async def nodes(page: Page) -> int:
    return int(await page.evaluate("document.querySelectorAll('#active *').length"))


async def test_nodes_and_work_for_an_event_do_not_grow_with_the_number_of_rows(
    browser: Browser, tmp_path: Path
) -> None:
    async with DaemonProcess(tmp_path, config=SUSPENDED) as daemon:
        ids = await start_many(daemon)
        async with open_page_session(browser, daemon) as session:
            page = session.page
            await expect(page.get_by_role("button", name=f"All {COUNT:,}")).to_be_visible()
            assert await page.locator("#active .row").count() < 40
            assert await nodes(page) < 40 * 40
            # One event changes one row; a hundred of rows that are not visible change none, and are drawn together.
            await page.evaluate(COUNT_CHANGES)
            await daemon.amend(ids[0], filename="renamed.bin")
            await expect(page.locator("#active .row").first).to_contain_text("renamed.bin")
            assert 0 < await page.evaluate("window.changes") < 40
            await page.evaluate("window.changes = 0")
            await page.evaluate(COUNT_FRAMES)
            for id in ids[-100:]:
                await daemon.amend(id, filename="unseen.bin")
            await page.get_by_label("Find active downloads").fill("unseen")
            await wait_until(lambda: has_rows(page, 100))
            # Twice a second, and once for the search; a slow machine needs more time.
            assert await page.evaluate("window.drawn") < 100
            # Scrolling keeps the number of rows, also with groups, and to the very end.
            await page.get_by_label("Find active downloads").fill("")
            await page.get_by_label("Group by").select_option("host")
            for place in (0.3, 0.7, 1):
                await page.evaluate(f"scrollTo(0, {place} * document.documentElement.scrollHeight)")
                await wait_until(lambda: page.evaluate("document.querySelectorAll('#active .row').length < 40"))
            await expect(page.locator(f"#active .row[aria-posinset='{COUNT + 9}']")).to_be_visible()
            assert await nodes(page) < 40 * 40


async def has_rows(page: Page, count: int) -> bool:
    return await page.locator("#active .row").first.get_attribute("aria-setsize") == str(count)
