"""The page in Firefox."""

from pathlib import Path

import pytest
from support.daemon_process import TOKEN, DaemonProcess, make_config
from support.firefox import open_firefox
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse

COUNT = 2000
SCROLL = """new Promise((done) => {
  const times = [];
  const step = (now) => {
    times.push(now);
    scrollTo(0, 37 * times.length);
    if (times.length < 120) return requestAnimationFrame(step);
    const gaps = times.slice(1).map((time, at) => time - times[at]).sort((one, other) => one - other);
    done(gaps[gaps.length >> 1]);
  };
  requestAnimationFrame(step);
})"""


# Its start takes more CPU time than the tests of the page in Chromium.
@pytest.mark.exhaustive
async def test_downloads_are_added_watched_and_changed_and_scrolling_is_smooth(tmp_path: Path, origin: Origin) -> None:
    origin.set_fallback(lambda _: ScriptedResponse(size=10_000_000, rate=4000))
    daemon = DaemonProcess(tmp_path, config=make_config(max_concurrent=100, max_per_host=100))
    async with daemon, open_firefox(tmp_path / "profile") as firefox:
        items = [{"url": origin.url(f"/{number}"), "directory": "many"} for number in range(COUNT)]
        await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        await firefox.open(f"{daemon.url}/#token={TOKEN}")
        await firefox.wait_for("document.querySelector('#connection').textContent === 'Live'")
        await firefox.wait_for(f"document.querySelector('#filters').textContent.includes('All {COUNT:,}')")
        assert await firefox.evaluate("document.querySelectorAll('#active .row').length") < 40
        # A frame of 60 a second has 16.7 ms; a machine with other load has fewer.
        assert await firefox.evaluate(SCROLL) < 35
        await firefox.evaluate("scrollTo(0, 0)")
        await firefox.wait_for("document.querySelector('#active [aria-posinset=\"1\"]')")
        await firefox.click("#active [aria-posinset='1'] [aria-label^=Pause]")
        await firefox.wait_for("document.querySelector('#filters').textContent.includes('Paused 1')")
        await firefox.click("#links")
        await firefox.type(origin.url("/new.bin"))
        await firefox.click("#add-button")
        await firefox.wait_for("document.querySelector('#notices').textContent.includes('1 download started')")
        await firefox.click("#active .name")
        await firefox.wait_for("document.querySelector('#details').open")
        await firefox.click("#close-details")
        await firefox.click("#to-history")
        await firefox.wait_for("document.querySelector('#nothing-past').offsetParent")
        await firefox.click("#to-files")
        await firefox.wait_for("document.querySelector('#files').textContent.includes('many/')")
        assert firefox.errors == []
