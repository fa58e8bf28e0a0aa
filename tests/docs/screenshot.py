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

from playwright.async_api import async_playwright
from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.page_session import open_page_session
from support.waiting import wait_until

MIB: Final = 1 << 20
CHART_SECONDS: Final = 25.0
"""Seconds of transfers that the chart of the speed shows."""


async def make_picture(target: Path) -> None:
    """Start downloads, open the page, and save it to `target` as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        # One that refuses gets fewer connections: it must be another than that of the transfers.
        async with (
            Origin() as origin,
            Origin() as refusing,
            DaemonProcess(Path(folder), config=make_config(max_per_host=4, max_retries=99)) as daemon,
        ):
            refusing.script("/nightly-build.zip", error_response(503))
            refusing.script("/release-notes.pdf", ScriptedResponse(size=2 * MIB, etag='"v"'))
            for name, answer in {
                "rfc-bundle.tar.gz": ScriptedResponse(size=9 * MIB, etag='"v"'),
                "debian-12.9.0-amd64-netinst.iso": ScriptedResponse(size=632 * MIB, etag='"v"'),
                "linux-6.12.1.tar.xz": ScriptedResponse(size=141 * MIB, etag='"v"'),
                "geonames-all.zip": ScriptedResponse(size=406 * MIB, etag='"v"'),
                "planet-tiles.mbtiles": ScriptedResponse(size=2048 * MIB, etag='"v"'),
                "wiki-abstracts.xml.gz": ScriptedResponse(size=950 * MIB, etag='"v"'),
            }.items():
                origin.script(f"/{name}", answer)
            await daemon.fetch("papers", origin.url("/rfc-bundle.tar.gz"))
            await daemon.fetch("papers", refusing.url("/release-notes.pdf"))
            await daemon.fetch("papers", origin.url("/withdrawn-draft.pdf"))
            await daemon.start_download("builds", refusing.url("/nightly-build.zip"))
            paused = await daemon.start_download(
                "maps", origin.url("/planet-tiles.mbtiles"), speed_limit=128 * MIB, priority=1
            )
            await wait_until(lambda: received(daemon, paused["download_id"], 400 * MIB), seconds=60)
            await daemon.control(paused["download_id"], "pause")
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
                async with open_page_session(browser, daemon, viewport=viewport, color_scheme="light") as session:
                    await asyncio.sleep(CHART_SECONDS)
                    await session.page.screenshot(path=target)
                await browser.close()


async def received(daemon: DaemonProcess, id: str, nbytes: int) -> bool:
    """Return True if the download has received so many bytes."""
    return bool((await daemon.get_download(id))["current_size"] >= nbytes)


def main() -> None:
    """Read the command line and make the picture."""
    parser = argparse.ArgumentParser(description="Make the picture of the README.")
    parser.add_argument("target", type=Path)
    asyncio.run(make_picture(parser.parse_args().target))


if __name__ == "__main__":
    main()
