"""Links that other pages hand over to the page."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Playwright, expect
from support.daemon_process import TOKEN, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.page_session import open_page_session

from downloadd.fronts.page.assets import load_assets

READ_ALL = """import { readHandedText } from "./handed_links.js";
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(readHandedText)));
"""
URL = "https://a.example/f%20g?x=1&y=ü#part"


def encode(text: str) -> str:
    """Return a text as `encodeURIComponent` does."""
    return quote(text, safe="")


def read_all(folder: Path, fragments: list[str]) -> list[str | None]:
    """Return the text that the module reads from each fragment."""
    (folder / "handed_links.js").write_bytes(load_assets()["handed_links.js"].content)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "read.js").write_text(READ_ALL)
    done = subprocess.run(
        ["node", folder / "read.js", json.dumps(fragments)], capture_output=True, text=True, check=True
    )
    texts: list[str | None] = json.loads(done.stdout)
    return texts


def test_a_fragment_hands_over_links(tmp_path: Path) -> None:
    in_base64 = base64.b64encode(URL.encode()).decode()
    in_url = base64.urlsafe_b64encode(URL.encode()).decode().rstrip("=")
    several = f"{URL}\nhttps://b.example/"
    expected = {
        f"#add={encode(URL)}": URL,
        f"#add={encode(several)}": several,
        f"#add={encode('web+downloadd:' + URL)}": URL,
        f"#add={encode('web+downloadd://' + URL)}": URL,
        f"#add={encode('web+downloadd:' + encode(URL))}": URL,
        "#add=https://a.example/100%": "https://a.example/100%",
        "#add=": "",
        f"#!/new?url={encode(in_base64)}": URL,
        f"#!/new?url={in_base64}&referer=x": URL,
        f"#!/new?url={in_url}": URL,
        f"#!/new/task?url={in_url}&pause=true": URL,
        "#!/new?url=***": "",
        "#!/new?dir=/": "",
        "#downloads": None,
        "#!/downloading": None,
        f"#token={TOKEN}": None,
        "": None,
    }
    assert dict(zip(expected, read_all(tmp_path, list(expected)), strict=True)) == expected


async def test_a_link_of_another_page_waits_in_the_form(
    browser: Browser, daemon: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    async with open_page_session(browser, daemon) as page_session:
        page = page_session.page
        await page.get_by_role("link", name="History").click()
        await page.evaluate(f"location.hash = 'add={encode(origin.url('/f'))}'")
        await page_session.wait_for_text("#handed", "1 link from another page. Check before you start the download.")
        await expect(page.get_by_label("Links")).to_have_value(origin.url("/f"))
        await expect(page.get_by_label("Links")).to_be_focused()
        # The address of the page has no link that a reload would add again.
        assert page.url == f"{daemon.url}/#downloads"
        await page.keyboard.press("Enter")
        assert await daemon.active() == await daemon.history() == []
        assert origin.requests("/f") == []
        await page.get_by_role("button", name="Download", exact=True).click()
        await page_session.wait_for_text("#ended", "f")
        await expect(page.locator("#handed")).to_be_hidden()


async def test_a_link_is_kept_until_the_user_has_signed_in(browser: Browser, daemon: DaemonProcess) -> None:
    async with open_page_session(browser, daemon, token=None) as page_session:
        page = page_session.page
        await page.goto(f"{daemon.url}/#!/new?url={base64.b64encode(b'https://a.example/f').decode()}")
        await page.reload()
        await page.goto(f"{daemon.url}/#add=https%3A%2F%2Fa.example%2Fg")
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_label("Keep me signed in").check()
        await page.get_by_role("button", name="Sign in").click()
        await page_session.wait_for_text("#connection", "Live")
        await expect(page.get_by_label("Links")).to_have_value("https://a.example/g")
        # A further tab needs no token.
        tab = await page.context.new_page()
        await tab.goto(f"{daemon.url}/#add=https%3A%2F%2Fa.example%2Fh")
        await expect(tab.locator("#connection")).to_have_text("Live")
        await expect(tab.get_by_label("Links")).to_have_value("https://a.example/h")
        await tab.get_by_role("button", name="Sign out").click()
        assert await tab.evaluate("localStorage.length + sessionStorage.length") == 0
        assert await daemon.active() == await daemon.history() == []


@pytest.mark.parametrize("text", ["javascript:alert(1)", "magnet:?xt=urn:btih:0", "<img src=x onerror=alert(1)>", ""])
async def test_something_that_is_not_a_link_is_refused(browser: Browser, daemon: DaemonProcess, text: str) -> None:
    async with open_page_session(browser, daemon) as page_session:
        await page_session.page.evaluate(f"location.hash = 'add={encode(text)}'")
        await page_session.wait_for_text("#refused", "Another page handed over something that is not a link.")
        await expect(page_session.page.get_by_label("Links")).to_have_value("")


OTHER_PAGE = """<!doctype html><title>Other</title><p id="all">
<a href="https://a.example/one">one</a> and <a href="/two?a=b&amp;c">two</a></p><a href="https://a.example/no">no</a>"""
SCHEME_PAGE = '<!doctype html><title>Other</title><a href="web+downloadd:https://a.example/f?a=b&amp;c">link</a>'
SELECT = "getSelection().selectAllChildren(document.getElementById('all'))"


@pytest.mark.parametrize("is_selected", [True, False])
async def test_the_bookmarklet_hands_over_the_selected_links_or_the_page(
    browser: Browser, daemon: DaemonProcess, is_selected: bool
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{daemon.url}/#token={TOKEN}")
    bookmarklet = await page.locator("#bookmarklet").get_attribute("href") or ""
    assert bookmarklet.startswith("javascript:")
    assert TOKEN not in bookmarklet
    await context.route(
        "https://other.example/**", lambda route: route.fulfill(body=OTHER_PAGE, content_type="text/html")
    )
    await page.goto("https://other.example/page?q=1")
    if is_selected:
        await page.evaluate(SELECT)
    async with context.expect_page() as opened:
        # As the browser runs a bookmark.
        await page.evaluate("(link) => { location.href = link }", bookmarklet)
    tab = await opened.value
    await expect(tab.locator("#handed")).to_contain_text("from another page")
    expected = (
        "https://a.example/one\nhttps://other.example/two?a=b&c" if is_selected else "https://other.example/page?q=1"
    )
    assert await tab.get_by_label("Links").input_value() == expected
    assert await tab.evaluate("opener") is None
    assert await daemon.active() == await daemon.history() == []
    await context.close()


async def test_the_browser_opens_links_of_the_scheme_with_the_page(
    playwright: Playwright, daemon: DaemonProcess, tmp_path: Path
) -> None:
    # A profile as users have it, in the whole browser: others do not keep handlers.
    context = await playwright.chromium.launch_persistent_context(
        tmp_path / "profile", executable_path="/usr/bin/chromium", args=["--no-sandbox"]
    )
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    await devtools.send("Page.enable")
    await devtools.send("Page.setRPHRegistrationMode", {"mode": "autoAccept"})
    await page.goto(f"{daemon.url}/#token={TOKEN}")
    await page.get_by_text("Add from other pages").click()
    await page.get_by_role("button", name="Open such links here").click()
    await expect(page.locator(".notice")).to_contain_text("The browser was asked.")
    await context.route(
        "https://other.example/", lambda route: route.fulfill(body=SCHEME_PAGE, content_type="text/html")
    )
    await page.goto("https://other.example/")
    await page.get_by_role("link").click()
    await expect(page.get_by_label("Links")).to_have_value("https://a.example/f?a=b&c")
    assert page.url == f"{daemon.url}/#downloads"
    assert await daemon.active() == await daemon.history() == []
    await context.close()


async def test_the_bookmarklet_is_not_for_this_page(browser: Browser, daemon: DaemonProcess) -> None:
    async with open_page_session(browser, daemon) as page_session:
        await page_session.page.get_by_text("Add from other pages").click()
        await page_session.page.get_by_role("link", name="Download with downloadd").click()
        await page_session.wait_for_text(".notice", "Drag this link to the bookmarks bar.")


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}])
async def test_the_offers_for_other_pages_are_accessible(
    browser: Browser, daemon: DaemonProcess, axe: Path, look: dict[str, Any]
) -> None:
    async with open_page_session(browser, daemon, **look) as page_session:
        page = page_session.page
        await page.get_by_text("Add from other pages").click()
        await page.evaluate("location.hash = 'add=https%3A%2F%2Fa.example%2Ff'")
        await page_session.wait_for_text("#handed", "1 link")
        await page.evaluate(axe.read_text())
        result = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert [one["id"] for one in result["violations"] if one["impact"] in {"serious", "critical"}] == []
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
