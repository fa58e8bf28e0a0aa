"""Checks of the page as it looks in light, in dark and on a phone."""

import json
from pathlib import Path
from typing import Any

from playwright.async_api import Page, ViewportSize

DESKTOP: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 390, "height": 844}


async def load_axe(page: Page, script: Path) -> None:
    """Load axe-core, before `find_problems`; by the protocol, because the page's policy allows no other script."""
    await page.evaluate(script.read_text())


async def find_problems(page: Page) -> list[str]:
    """Return the serious violations of accessibility in each look, and what does not fit on a phone.

    The most expensive rule, that of contrast, is checked in light and in dark.
    """
    found = await _find_violations(page)
    await page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in await _find_violations(page, runOnly=["color-contrast"])]
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(PHONE)
    rules = {"color-contrast": {"enabled": False}}
    found += [f"phone: {one}" for one in await _find_violations(page, rules=rules)]
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    await page.set_viewport_size(DESKTOP)
    return [*found, *(["phone: the page can be scrolled sideways"] if width > 0 else [])]


async def _find_violations(page: Page, **options: Any) -> list[str]:
    result = await page.evaluate("(options) => axe.run(document, options)", {"resultTypes": ["violations"], **options})
    return [
        f"{one['id']}: {one['help']}: {json.dumps([node['target'] for node in one['nodes']])}"
        for one in result["violations"]
        if one["impact"] in {"serious", "critical"}
    ]
