"""The reference page of the API in a browser, with and without a prefix."""

from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess


@pytest.mark.parametrize("base_path", ["", "/downloads-api"])
async def test_an_operation_can_be_tried_with_the_token(tmp_path: Path, base_path: str) -> None:
    config = f'{DEFAULT_CONFIG}\n[server]\nbase_path = "{base_path}"\n'
    async with DaemonProcess(tmp_path, config=config) as daemon, async_playwright() as playwright:
        site = daemon.url.removesuffix(base_path) if base_path else daemon.url
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=["--no-sandbox"]
        )
        page = await browser.new_page()
        errors: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        await page.goto(f"{site}{base_path}/api/v1/docs")
        await page.get_by_role("button", name="Authorize").click()
        await page.locator(".auth-container", has_text="bearer").locator("input").first.fill(TOKEN)
        await page.locator(".auth-container", has_text="bearer").get_by_role("button", name="Apply").first.click()
        await page.locator(".btn-done").first.click()
        operation = page.locator("#operations-default-listAllActiveDownloads")
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        await operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        await expect(answer.locator(".response-col_status").last).to_contain_text("200")
        await expect(answer).to_contain_text('"downloads": []')
        await browser.close()
    assert errors == []
    assert {url for url in requests if not url.startswith((f"{site}{base_path}/api/v1/", "data:"))} == set()
