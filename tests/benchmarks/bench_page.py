"""Frames a second of the page while it scrolls through 10,000 active and 1,000,000 past downloads.

Run `python tests/benchmarks/bench_page.py`; it needs chromium-headless-shell. `--active`, `--past` and `--seconds`
change the numbers. It writes the records of a daemon that starts no download, and prints for each list the frames a
second, the longest frame, and the rows in the document.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, async_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.daemon_process import TOKEN, DaemonProcess, make_config
from support.downloads import make_download

from downloadd.clock import SystemClock
from downloadd.download import Download, new_id
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State

CHUNK_ROWS: Final = 10_000
START: Final = 1_700_000_000
MEASURE: Final = """async ([list, seconds]) => {
  const frames = [];
  const end = performance.now() + seconds * 1000;
  let last = performance.now();
  await new Promise((resolve) => {
    const step = (now) => {
      frames.push(now - last);
      last = now;
      // Up and down, so that it stays within the pages of the history that are loaded.
      scrollBy(0, Math.floor(now / 2000) % 2 ? -160 : 160);
      if (now < end) requestAnimationFrame(step);
      else resolve();
    };
    requestAnimationFrame(step);
  });
  frames.sort((one, other) => one - other);
  return {
    rate: (1000 * frames.length) / frames.reduce((sum, each) => sum + each, 0),
    late: frames.filter((each) => each > 25).length / frames.length,
    longest: frames.at(-1),
    rows: document.querySelectorAll(`${list} .row`).length,
  };
}"""


def make_row(number: int, state: State) -> Download:
    """Return a row of the records."""
    url = f"https://host{number % 50}.example/{number}.bin"
    fields: dict[str, Any] = {} if state is State.QUEUED else {"end_time": START + number, "total": number}
    return make_download(
        id=new_id(START + number, number),
        user="u",
        url=url,
        redacted_url=url,
        origin=f"https://host{number % 50}.example",
        directory=f"d{number % 20}",
        timeout=0,
        start_time=START + number,
        filename=f"{number}.bin",
        state=state,
        **fields,
    )


async def write_records(state: Path, *, active: int, past: int) -> None:
    """Write the records of a daemon."""
    state.mkdir(mode=0o700)
    async with SqliteRecords(state, SystemClock()) as records:
        for count, kind, offset in ((past, State.COMPLETED, 0), (active, State.QUEUED, past)):
            for start in range(0, count, CHUNK_ROWS):
                numbers = range(offset + start, offset + min(count, start + CHUNK_ROWS))
                await records.accept([make_row(number, kind) for number in numbers])


async def measure(page: Page, name: str, selector: str, seconds: int) -> None:
    """Print the frames of one list."""
    found = await page.evaluate(MEASURE, [selector, seconds])
    print(
        f"{name}: {found['rate']:.1f} frames/s, {found['late']:.1%} of the frames later than 25 ms, "
        f"longest {found['longest']:.0f} ms, {found['rows']} rows in the document"
    )


async def change_priorities(daemon: DaemonProcess) -> None:
    """Change downloads for ever, twenty a second, so that the page has events to show."""
    ids = [entry["id"] for entry in (await daemon.request("GET", "/api/v1/downloads?limit=200"))[1]["downloads"]]
    for number in itertools.count():
        await daemon.amend(ids[number % len(ids)], speed_limit=1_000_000 + number)
        await asyncio.sleep(0.05)


async def main(*, active: int, past: int, seconds: int) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = make_config(max_concurrent=1) + "\n[[limits]]\nallow_starts = false\n"
        daemon = DaemonProcess(folder, config=config)
        await write_records(daemon.state, active=active, past=past)
        async with daemon, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path="/usr/bin/chromium-headless-shell", args=["--no-sandbox"]
            )
            page = await browser.new_page()
            await page.goto(f"{daemon.url}/#token={TOKEN}")
            await page.get_by_role("button", name=f"All {active:,}").wait_for()
            await measure(page, f"{active:,} active", "#active", seconds)
            changes = asyncio.create_task(change_priorities(daemon))
            await measure(page, f"{active:,} active with events", "#active", seconds)
            await page.get_by_label("Group by").select_option("host")
            await measure(page, f"{active:,} active by host", "#active", seconds)
            await page.get_by_role("link", name="History").click()
            await page.locator("#past .row").first.wait_for()
            await measure(page, f"{past:,} past", "#past", seconds)
            changes.cancel()
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--active", type=int, default=10_000)
    parser.add_argument("--past", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=10)
    asyncio.run(main(**vars(parser.parse_args())))
