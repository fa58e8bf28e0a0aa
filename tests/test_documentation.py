"""The generator of the reference, on a document and an example of its own."""

from pathlib import Path

import pytest

from downloadd import documentation
from downloadd.documentation import build_pages
from downloadd.errors import ERRORS

OPERATION = {
    "summary": "Read a thing",
    "description": "Requires no token.",
    "parameters": [
        {
            "name": "limit",
            "in": "query",
            "required": True,
            "description": "One | two\nlines.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        }
    ],
    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
    "responses": {
        "400": {"description": "Wrong"},
        "200": {"description": "Right"},
    },
}


def api_page(operation: object = OPERATION, method: str = "get") -> str:
    return build_pages({"paths": {"/things": {method: operation}}})["api.md"]


def test_an_operation_has_its_parameters_its_body_and_its_responses_by_status() -> None:
    page = api_page()
    assert "## `GET /things`\n\nRead a thing.\n\nRequires no token." in page
    assert "| `limit` (required) | query | integer, from 1 to 9, default 3 | One \\| two lines. |" in page
    assert "Takes `application/json`: `Thing`." in page
    assert page.index("| 200 | Right |") < page.index("| 400 | Wrong |")


def test_a_head_operation_has_no_section() -> None:
    assert "##" not in api_page(method="head")


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({}, "bytes"),
        ({"enum": ["a", "b", None]}, "`a`, `b`"),
        ({"anyOf": [{"type": "string"}, {"$ref": "#/x/Y"}, {"type": "string"}]}, "string or `Y`"),
        ({"type": "integer", "minimum": 0}, "integer, from 0"),
    ],
)
def test_a_type_is_described_in_words(schema: dict[str, object], text: str) -> None:
    operation = {**OPERATION, "requestBody": {"content": {"application/json": {"schema": schema}}}}
    assert f"Takes `application/json`: {text}." in api_page(operation)


def test_every_error_has_a_section_with_its_whole_row() -> None:
    page = build_pages({"paths": {}})["errors.md"]
    for code, kind in ERRORS.items():
        assert (
            f"## `{code}`\n\n**{kind.title}** (HTTP {kind.status}). {kind.description}.\n\n{kind.resolution}.\n\n"
            f"{kind.advice}"
        ) in page


def test_every_page_says_that_it_is_generated() -> None:
    for page in build_pages({"paths": {}}).values():
        assert page.startswith("<!-- Made by `python -m downloadd.documentation`")
        assert page.endswith("\n")


def test_the_pages_are_written_below_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs/reference").mkdir(parents=True)
    (tmp_path / "docs/man").mkdir()
    (tmp_path / "config.example.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    documentation.main()
    assert "## `GET /api/v1/downloads`" in (tmp_path / "docs/reference/api.md").read_text(encoding="utf-8")
