import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Playwright, async_playwright


@pytest.fixture
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as playwright:
        yield playwright


@pytest.fixture
async def browser(playwright: Playwright) -> AsyncIterator[Browser]:
    """Start the headless shell of Chromium, which takes half of its CPU time, without the sandbox."""
    browser = await playwright.chromium.launch(
        executable_path="/usr/bin/chromium-headless-shell", args=["--no-sandbox"]
    )
    yield browser
    await browser.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install axe-core from npm and return its script."""
    folder = tmp_path_factory.mktemp("axe")
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    subprocess.run(["npm", "install", *quiet, "axe-core@^4.10"], cwd=folder, check=True, timeout=120)
    return folder / "node_modules/axe-core/axe.min.js"
