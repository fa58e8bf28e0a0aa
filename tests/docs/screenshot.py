"""Make the picture of the README: `python tests/docs/screenshot.py docs/page.png`.

A daemon downloads synthetic files in several states from an origin on this machine; Chromium photographs the page.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from daemon_process import DaemonProcess, configured, until
from origin.answer import Answer, failure
from origin.origin import Origin
from playwright.async_api import async_playwright
from web.visit import visiting

MIB: Final = 1 << 20
CHART_SECONDS: Final = 25.0
"""Seconds of transfers that the chart of the speed shows."""


async def make_picture(target: Path) -> None:
    """Start downloads, open the page, and save it to `target` as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        async with Origin() as origin, DaemonProcess(Path(folder), config=configured(max_per_host=4)) as daemon:
            for name, answer in {
                "rfc-bundle.tar.gz": Answer(size=9 * MIB, etag='"v"'),
                "release-notes.pdf": Answer(size=2 * MIB, etag='"v"'),
                "debian-12.9.0-amd64-netinst.iso": Answer(size=632 * MIB, etag='"v"'),
                "linux-6.12.1.tar.xz": Answer(size=141 * MIB, etag='"v"'),
                "geonames-all.zip": Answer(size=406 * MIB, etag='"v"'),
                "planet-tiles.mbtiles": Answer(size=2048 * MIB, etag='"v"'),
                "wiki-abstracts.xml.gz": Answer(size=950 * MIB, etag='"v"'),
                "nightly-build.zip": failure(503),
            }.items():
                origin.script(f"/{name}", answer)
            await daemon.fetch("papers", origin.url("/rfc-bundle.tar.gz"))
            await daemon.fetch("papers", origin.url("/release-notes.pdf"))
            await daemon.fetch("papers", origin.url("/withdrawn-draft.pdf"))
            await daemon.start_download("builds", origin.url("/nightly-build.zip"))
            paused = await daemon.start_download(
                "maps", origin.url("/planet-tiles.mbtiles"), speed_limit=128 * MIB, priority=1
            )
            await until(lambda: received(daemon, paused["download_id"], 400 * MIB), seconds=60)
            await daemon.verb(paused["download_id"], "pause")
            for directory, name, limit in (
                ("iso", "debian-12.9.0-amd64-netinst.iso", 18),
                ("sources", "linux-6.12.1.tar.xz", 3),
                ("maps", "geonames-all.zip", 11),
                ("wiki", "wiki-abstracts.xml.gz", 5),
                ("wiki", "wiki-pages.xml.gz", 5),
            ):
                await daemon.start_download(directory, origin.url(f"/{name}"), speed_limit=limit * MIB)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                viewport = {"width": 1180, "height": 740}
                async with visiting(browser, daemon, viewport=viewport, color_scheme="light") as visit:
                    await asyncio.sleep(CHART_SECONDS)
                    await visit.page.screenshot(path=target)
                await browser.close()


async def received(daemon: DaemonProcess, id: str, nbytes: int) -> bool:
    """Return True if the download has received so many bytes."""
    return bool((await daemon.one(id))["current_size"] >= nbytes)


def main() -> None:
    """Read the command line and make the picture."""
    parser = argparse.ArgumentParser(description="Make the picture of the README.")
    parser.add_argument("target", type=Path)
    asyncio.run(make_picture(parser.parse_args().target))


if __name__ == "__main__":
    main()
