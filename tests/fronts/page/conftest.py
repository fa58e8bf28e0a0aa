"""Browser of the tests of the page: one for each worker, because its start takes more CPU time than a test.

It belongs to the event loop of the session, and so do the tests that use it, with their daemons and origins.
"""

import fcntl
import inspect
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, async_playwright
from support.daemon_process import DaemonProcess
from support.origin.origin import Origin
from support.ports import free_port

FOLDER = Path(__file__).parent
SESSION_FIXTURES = frozenset({"playwright", "browser", "origin", "daemon", "restartable"})
"""The fixtures below that belong to the event loop of the session."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Run the tests of this folder that use its fixtures in the event loop of the session."""
    for item in items:
        if item.path.parent != FOLDER or not isinstance(item, pytest.Function):
            continue
        if inspect.iscoroutinefunction(item.obj) and not SESSION_FIXTURES.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as playwright:
        yield playwright


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(playwright: Playwright) -> AsyncIterator[Browser]:
    """Start the headless shell of Chromium, which takes half of its CPU time, without the sandbox."""
    browser = await playwright.chromium.launch(
        executable_path="/usr/bin/chromium-headless-shell", args=["--no-sandbox"]
    )
    yield browser
    await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def origin() -> AsyncIterator[Origin]:
    """Start a scripted origin."""
    async with Origin() as origin:
        yield origin


@pytest_asyncio.fixture(loop_scope="session")
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """Start a daemon with the default configuration of the tests."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    async with DaemonProcess(folder) as daemon:
        yield daemon


@pytest_asyncio.fixture(loop_scope="session")
async def restartable(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """Return a daemon that the test starts, kills and starts again, each time on the same port."""
    folder = tmp_path / "restartable"
    folder.mkdir()
    daemon = DaemonProcess(folder, port=free_port())
    try:
        yield daemon
    finally:
        if daemon.process is not None:
            await daemon.kill()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install axe-core from npm, once for all workers, and return its script."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "axe"
    folder.mkdir(exist_ok=True)
    script = folder / "node_modules/axe-core/axe.min.js"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not script.exists():
            quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
            subprocess.run(["npm", "install", *quiet, "axe-core@^4.10"], cwd=folder, check=True, timeout=120)
    return script
