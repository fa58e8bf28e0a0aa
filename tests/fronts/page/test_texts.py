"""Texts of the page: each has a translation in each language, and each translation is of a text."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from downloadd.errors import ERRORS
from downloadd.fronts.page.assets import INDEX, LANGUAGES_MODULE, load_assets, render_languages_module
from downloadd.fronts.rocketchat.statuses import STATUS_LABELS
from downloadd.states import STATES, WaitReason

ASSETS = load_assets()
LANGUAGES = {name.split(".")[1]: json.loads(asset.content) for name, asset in ASSETS.items() if name.endswith(".json")}
STRING = r'"((?:[^"\\]|\\.)*)"'
CALLS = (
    re.compile(rf"(?<![\w.])t\(\s*{STRING}"),
    re.compile(rf"(?<![\w.])plural\(\s*[^\"]*?{STRING},\s*(?=\"){STRING}"),
)
COUNTS = re.compile(rf"formatCount\([^\"`{{]+,\s*{STRING}(?:, {STRING})?")
PLACEHOLDER = re.compile(r"\{\w+\}")


class Texts(HTMLParser):
    """Texts of a document, as the page translates them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"placeholder", "aria-label", "title"}]

    def handle_data(self, data: str) -> None:
        self.found.append(data.strip())


def texts() -> Iterator[str]:
    """Yield the texts of the page in English."""
    document = Texts()
    document.feed(ASSETS[INDEX].content.decode().partition("<body>")[2])
    yield from (text for text in document.found if re.search("[A-Za-z]{2}", text))
    for name, asset in ASSETS.items():
        if name.endswith(".js"):
            script = asset.content.decode()
            for call in CALLS:
                yield from (json.loads(f'"{found.groups()[-1]}"') for found in call.finditer(script))
            yield from (f"{{n}} {found[2] or found[1] + 's'}" for found in COUNTS.finditer(script))
    for row in STATES.values():
        yield from (row.label, row.label.capitalize())
    yield from STATUS_LABELS.values()
    for kind in ERRORS.values():
        yield from (kind.title, kind.resolution)


def test_there_is_german() -> None:
    assert "de" in LANGUAGES
    assert render_languages_module(["texts.fr.json", "texts.de.json", "texts.js"]) == (
        b'export const LANGUAGES = ["de","fr"];\n'
    )
    assert LANGUAGES_MODULE in ASSETS


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_text_is_translated_and_each_translation_is_used(language: str) -> None:
    known, used = set(LANGUAGES[language]), set(texts())
    assert used - known == set(), f"add these to texts.{language}.json"
    assert known - used == set(), f"remove these from texts.{language}.json"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_values_of_the_text(language: str) -> None:
    for english, translation in LANGUAGES[language].items():
        forms: list[Any] = [*translation.values()] if isinstance(translation, dict) else [translation]
        for form in forms:
            assert set(PLACEHOLDER.findall(form)) == set(PLACEHOLDER.findall(english)), english


def test_the_page_has_words_for_each_reason_why_a_download_waits() -> None:
    script = ASSETS["wait_reasons.js"].content.decode()
    table = script.partition("const REASONS")[2].partition("\n};")[0]
    assert set(re.findall(r"^  (\w+): ", table, re.MULTILINE)) == {reason.value for reason in WaitReason}
