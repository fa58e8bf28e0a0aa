"""The measurement of the code, on a small checkout with known numbers."""

from pathlib import Path

import pytest
from support.measure_code import (
    SourceFile,
    attribute_count,
    code_length,
    files_naming,
    first_words,
    has_test_file,
    method_count,
    read_junit,
    report,
)

MODULE = '''"""Whether this counts: yes."""

import library

LIMIT = 3
"""Comment on `priority`, which does not count."""


class Sample:
    """Sample with two methods and three attributes."""

    declared: int

    def __init__(self) -> None:
        self.first = 1
        self._second = 2

    def run(self) -> int:
        """Return one.

        Two more lines.
        """
        # priority
        library.thing._internal()  # type: ignore[attr-defined]
        return self._second  # noqa: X


def name() -> str:
    return f"speed_limit of {LIMIT}"
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("downloadd/part", "tests/part", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "downloadd/part/sample.py").write_text(MODULE)
    (tmp_path / "downloadd/other.py").write_text('KINDS = {"skipped": 1}\n')
    (tmp_path / "downloadd/page.js").write_text("show(skipped);\n")
    (tmp_path / "tests/part/test_sample.py").write_text('"""How it is tested."""\n\nskipped = 1\n')
    (tmp_path / "docs/hand.md").write_text("A download may be skipped.\n")
    (tmp_path / "docs/table.md").write_text("<!-- Made by a program -->\n| skipped |\n")
    (tmp_path / "CHANGELOG.md").write_text("skipped\n")
    return tmp_path


def source_files(checkout: Path) -> list[SourceFile]:
    return [SourceFile(path, checkout / "downloadd") for path in sorted((checkout / "downloadd").rglob("*.py"))]


def test_sizes_leave_docstrings_out(checkout: Path) -> None:
    _, sample = source_files(checkout)
    assert sample.line_count == MODULE.count("\n")
    [node] = sample.classes
    assert (method_count(node), attribute_count(node)) == (2, 3)
    assert {function.name: code_length(function) for function in sample.functions} == {
        "__init__": 3,
        "run": 4,
        "name": 2,
    }


def test_docstrings_are_counted_by_their_first_word(checkout: Path) -> None:
    assert first_words(source_files(checkout)) == {"Whether": 1, "Sample": 1, "Return": 1}


def test_words_of_code_are_names_and_strings_without_comments_and_docstrings(checkout: Path) -> None:
    _, sample = source_files(checkout)
    words = sample.code_words()
    assert {"LIMIT", "library", "speed_limit"} <= words
    assert not {"priority", "Whether", "noqa"} & words


def test_suppressed_checks_and_private_attributes_are_found(checkout: Path) -> None:
    other, sample = source_files(checkout)
    assert sample.suppressions() == {"type: ignore": 1, "noqa": 1}
    assert sample.private_attributes() == ["part/sample.py: library.thing._internal"]
    assert other.private_attributes() == []


def test_internal_modules_of_libraries_are_found(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        "import aiohttp.web, downloadd._own\nfrom aiohttp.client_proto import ResponseHandler\n"
        'from library import _part, public\nPARSER = "aiohttp._http_parser"\nTEXT = "a sentence._"\n'
    )
    assert SourceFile(path, tmp_path).internal_modules() == [
        "sample.py: aiohttp._http_parser",
        "sample.py: aiohttp.client_proto",
        "sample.py: library._part",
    ]


def test_a_test_file_mirrors_its_module(checkout: Path) -> None:
    other, sample = source_files(checkout)
    assert has_test_file(sample, checkout / "tests")
    assert not has_test_file(other, checkout / "tests")


def test_a_fact_costs_the_files_by_hand_that_name_it(checkout: Path) -> None:
    assert files_naming(["skipped", "SKIPPED"], checkout, source_files(checkout)) == [
        "docs/hand.md",
        "downloadd/other.py",
        "downloadd/page.js",
    ]
    assert files_naming(["priority"], checkout, source_files(checkout)) == []


def test_times_come_from_junit_files(tmp_path: Path) -> None:
    junit = tmp_path / "fast.xml"
    junit.write_text('<testsuites><testsuite name="pytest" tests="12" time="3.5"></testsuite></testsuites>')
    assert read_junit(junit) == (12, 3.5)


def test_the_report_is_one_table(checkout: Path, tmp_path: Path) -> None:
    junit = tmp_path / "fast.xml"
    junit.write_text('<testsuites><testsuite name="pytest" tests="12" time="3.5"></testsuite></testsuites>')
    lines = list(report(checkout, {"fast": junit}))
    assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
    table = dict(line.strip("| ").split(" | ", 1) for line in lines)
    assert table["modules"] == "2, median 15 lines"
    assert table["docstrings that begin with a question word"] == "1 {'Whether': 1}"
    assert table["docstrings of tests that begin with a question word"] == "1 {'How': 1}"
    assert table["modules without a test file of their own"] == "1 of 2"
    assert table["suppressed checks in the package"] == "1 type: ignore, 1 noqa"
    assert table["files that name one state"].startswith("at least 3, median 3; `skipped`: docs/hand.md, ")
    assert table["files to edit for one setting"] == "1: downloadd/config/settings.py"
    assert table["fast tests"] == "12 in 4 s"
