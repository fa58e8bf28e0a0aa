"""The pages of the documentation, and what their Markdown holds: sections, tables, code blocks."""

import re
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parents[2]
DOCS: Final = TOP / "docs"
PAGES: Final = [TOP / "README.md", TOP / "SECURITY.md", TOP / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
GENERATED: Final = {
    *("api.md", "aria2-conf.md", "configuration.md", "errors.md", "events.md", "importers.md", "resume.md"),
}
"""Pages of `docs/reference` that `downloadd.documentation` writes."""


def name_of(page: Path) -> str:
    """Return the path of a page below the top, which identifies it in tests."""
    return page.relative_to(TOP).as_posix()


def read(name: str) -> str:
    """Return the text of a page, named by its path below the top."""
    return (TOP / name).read_text(encoding="utf-8")


def outside_blocks(text: str) -> str:
    """Return the text with code blocks blanked, so that comments in them are not taken for headings."""
    return re.sub(r"^```.*?^```$", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, title: str) -> str:
    """Return the text below a heading, up to the next heading of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found is not None, f"no section {title!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", outside_blocks(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table in a text, without the heads."""
    lines = [line for line in outside_blocks(text).splitlines() if line.startswith("|")]
    rulers = [number for number, line in enumerate(lines) if set(line) <= set("|-: ")]
    heads = {number - 1 for number in rulers} | set(rulers)
    return [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for number, line in enumerate(lines)
        if number not in heads
    ]


def first_cells(text: str) -> list[str]:
    """Return the code in the first cell of each row."""
    return [row[0].strip("`") for row in rows(text)]


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```(?:{language})\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", outside_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(text: str) -> list[str]:
    """Return the targets of links that do not lead to other sites."""
    return re.findall(r"\]\((?!https?:)([^)\s]+)\)", outside_blocks(text))
