"""Measurement of the code: `python tests/support/measure_code.py [CHECKOUT] [--junit NAME=FILE]...`.

It prints a table in Markdown with what a reader notices: sizes, docstrings by their first word, modules without a test
file, private parts of libraries, suppressed checks, and the number of files that name one fact of each kind. With
`--junit` it adds the number and the time of the tests from files of `pytest --junitxml`.

The cost of a change is the number of files to edit for one new fact, such as a parameter or an error code: `CHANGES`
lists them, and `tests/test_cost_of_changes.py` adds one of each with edits to these files only.

For checkouts without such a list, the table also counts the files by hand that name an existing fact. That is an upper
limit: code that only uses the fact counts too. The rules are the same for each checkout, so that two of them compare:

- A fact has several spellings (`skipped`, `SKIPPED`); a file counts once.
- In Python, names and short strings count; comments and docstrings do not. In SQL, JavaScript, HTML, TOML and Markdown
  each whole word counts.
- Generated files do not count: nobody edits them. A file is generated if its first lines say so. Tests and the
  changelog do not count either.
- Each kind has several examples, and the table has the smallest and the median number: the smallest is that of a fact
  with the least use.
"""

import argparse
import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final
from xml.etree import ElementTree as ET

QUESTION_WORDS: Final = ("What", "How", "Whether", "Where", "Who", "Why", "Which", "When", "Whose")

FACTS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "start parameter": (("segments",), ("priority",), ("speed_limit",)),
    "column": (("content_type",), ("failures",), ("time_spent",)),
    "error code": (("BODY_TOO_SLOW",), ("HOST_NOT_ALLOWED",), ("TOO_MANY_REDIRECTS",), ("FILE_EXISTS",)),
    "event": (("DownloadChanged",), ("DownloadEnded", "DownloadFinished"), ("ImportChanged", "ImportMoved")),
    "state": (("skipped", "SKIPPED"), ("verifying", "VERIFYING"), ("retrying", "RETRYING")),
    "importer": (("metalink", "METALINK"), ("csv", "CSV"), ("slack", "SLACK")),
    "setting": (("max_queued",), ("trusted_proxies",), ("min_free",)),
}
"""Examples of each kind of fact, each with its spellings."""

CHANGES: Final[dict[str, tuple[str, ...]]] = {
    "start parameter": (
        "downloadd/download_request.py",
        "downloadd/download.py",
        "downloadd/records/columns.py",
        "downloadd/records/migrations/<new>.sql",
        "downloadd/records/postgres/migrations/<new>.sql",
        "docs/reference/http.md",
    ),
    "column": (
        "downloadd/download.py",
        "downloadd/records/columns.py",
        "downloadd/records/migrations/<new>.sql",
        "downloadd/records/postgres/migrations/<new>.sql",
    ),
    "error code": ("downloadd/errors/origin.py",),
    "event": ("downloadd/events.py", "downloadd/fronts/rest/event_types.py"),
    "state": ("downloadd/states.py", "docs/reference/states.md"),
    "importer": ("downloadd/imports/<new>.py", "downloadd/imports/importers.py"),
    "setting": ("downloadd/config/settings.py",),
}
"""Files to edit for one new fact of each kind, without the code that uses it, generated files and tests."""

GENERATED: Final = re.compile(r"generated|made by", re.IGNORECASE)
"""Notice in the first lines of a file that no one edits."""

TEXT_SUFFIXES: Final = frozenset({".sql", ".js", ".html", ".md", ".toml"})

DOCUMENTED_ATTRIBUTES: Final = frozenset({"_asdict", "_exit", "_fields", "_make", "_name_", "_replace", "_value_"})
"""Attributes of the standard library that are public in spite of their names."""

INTERNAL_MODULES: Final = frozenset({"aiohttp.client_proto", "aiohttp.http_parser", "aiohttp.base_protocol"})
"""Modules of libraries that are not documented, in spite of their names; those with an underscore need no list."""

FSTRING_PART: Final = getattr(tokenize, "FSTRING_MIDDLE", None)
"""Type of the tokens of text in an f-string, from Python 3.12 on."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


class SourceFile:
    """Python file, parsed."""

    def __init__(self, path: Path, package: Path) -> None:
        self.path = path
        self.name = path.relative_to(package).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.nodes = list(ast.walk(self.tree))

    @property
    def line_count(self) -> int:
        """Number of lines."""
        return self.text.count("\n")

    @property
    def functions(self) -> list[Function]:
        """All functions and methods."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @property
    def classes(self) -> list[ast.ClassDef]:
        """All classes."""
        return [node for node in self.nodes if isinstance(node, ast.ClassDef)]

    @property
    def docstrings(self) -> list[str]:
        """Docstrings of the module, its classes and functions."""
        nodes: list[Documented] = [self.tree, *self.classes, *self.functions]
        return [text for node in nodes if (text := ast.get_docstring(node))]

    def suppressions(self) -> Counter[str]:
        """Count the comments that suppress a check, by their kind."""
        counts: Counter[str] = Counter()
        for token in self._tokens():
            if token.type == tokenize.COMMENT:
                counts["type: ignore"] += "type: ignore" in token.string
                counts["noqa"] += "noqa" in token.string
        return counts

    def code_words(self) -> set[str]:
        """Return the names in the code and the words of its strings, without comments and docstrings."""
        words: set[str] = set()
        previous = tokenize.NEWLINE
        for token in self._tokens():
            # A string that is a statement is a docstring, of an attribute too.
            is_statement = previous in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL}
            if token.type == tokenize.NAME:
                words.add(token.string)
            elif (token.type == tokenize.STRING and not is_statement) or token.type == FSTRING_PART:
                words.update(re.findall(r"\w+", token.string))
            if token.type not in {tokenize.COMMENT, tokenize.ENCODING}:
                previous = token.type
        return words

    def private_attributes(self) -> list[str]:
        """List the private attributes that the module uses and does not define: those of libraries or other modules."""
        attributes = [node for node in self.nodes if isinstance(node, ast.Attribute)]
        own = {
            node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        }
        own |= {function.name for function in self.functions} | DOCUMENTED_ATTRIBUTES
        foreign = (node for node in attributes if re.match(r"_[a-z]", node.attr) and node.attr not in own)
        return sorted({f"{self.name}: {ast.unparse(node)}" for node in foreign})

    def internal_modules(self) -> list[str]:
        """List the internal modules of libraries that the module imports or names in a string."""
        names: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
        return sorted(f"{self.name}: {name}" for name in names if is_internal(name))

    def _tokens(self) -> Iterator[tokenize.TokenInfo]:
        return tokenize.generate_tokens(io.StringIO(self.text).readline)


def is_internal(name: str) -> bool:
    """Return True for the dotted name of an internal part of a library."""
    return name in INTERNAL_MODULES or re.fullmatch(r"(?!downloadd\b)[a-z]\w*(\.\w+)*\._[a-z]\w*", name) is not None


def code_length(node: Function | ast.ClassDef) -> int:
    """Return the lines of a definition without its docstring."""
    first = node.body[0]
    docstring_length = 0
    if ast.get_docstring(node) is not None:
        docstring_length = (first.end_lineno or first.lineno) - first.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_length


def method_count(node: ast.ClassDef) -> int:
    """Return the number of methods that a class defines."""
    return sum(isinstance(item, Function) for item in node.body)


def attribute_count(node: ast.ClassDef) -> int:
    """Return the number of attributes that the methods of a class assign on `self`, or its body declares."""
    assigned = {
        item.attr
        for item in ast.walk(node)
        if isinstance(item, ast.Attribute)
        and isinstance(item.ctx, ast.Store)
        and isinstance(item.value, ast.Name)
        and item.value.id == "self"
    }
    declared = {
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    return len(assigned | declared)


def first_words(files: Sequence[SourceFile]) -> Counter[str]:
    """Count docstrings by their first word."""
    return Counter(text.split()[0].strip("`.,:;") for file in files for text in file.docstrings)


def count_questions(words: Counter[str]) -> dict[str, int]:
    """Return the question words among the first words, with their numbers."""
    return {word: words[word] for word in QUESTION_WORDS if words[word]}


def has_test_file(file: SourceFile, tests: Path) -> bool:
    """Return True if a test file mirrors the module."""
    path = Path(file.name)
    return (tests / path.parent / f"test_{path.stem}.py").exists()


def files_naming(spellings: Sequence[str], root: Path, files: Sequence[SourceFile]) -> list[str]:
    """List the files by hand that name a fact by one of its spellings."""
    found = [file.path.relative_to(root).as_posix() for file in files if not file.code_words().isdisjoint(spellings)]
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, spellings))})\b")
    texts = [root / "config.example.toml", root / "README.md"]
    texts += [path for folder in ("docs", "downloadd") for path in (root / folder).rglob("*")]
    for path in texts:
        if path.suffix in TEXT_SUFFIXES and path.is_file():
            text = path.read_text(encoding="utf-8")
            if pattern.search(text) and not GENERATED.search("\n".join(text.splitlines()[:3])):
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def read_junit(junit: Path) -> tuple[int, float]:
    """Return the number of tests of a JUnit file, and their seconds on the clock."""
    suites = list(ET.parse(junit).getroot().iter("testsuite"))
    return sum(int(suite.attrib["tests"]) for suite in suites), sum(float(suite.attrib["time"]) for suite in suites)


def report(root: Path, junit: dict[str, Path]) -> Iterator[str]:
    """Yield the lines of the table for a checkout."""
    package = root / "downloadd"
    files = [SourceFile(path, package) for path in sorted(package.rglob("*.py"))]
    tests = [SourceFile(path, root) for path in sorted((root / "tests").rglob("*.py"))]
    lengths = sorted(code_length(function) for file in files for function in file.functions)
    words = first_words(files)
    questions = count_questions(words)
    test_questions = count_questions(first_words(tests))
    large_files = [f"{file.name} {file.line_count}" for file in files if file.line_count > 400]
    large_classes = [
        f"{node.name} ({method_count(node)} methods, {attribute_count(node)} attributes, {code_length(node)} lines)"
        for file in files
        for node in file.classes
        if method_count(node) > 20 or code_length(node) > 300
    ]
    modules = [file for file in files if not file.name.endswith("__init__.py")]
    untested = [file.name for file in modules if not has_test_file(file, root / "tests")]
    private = [text for file in files for text in (*file.private_attributes(), *file.internal_modules())]
    yield "| measure | value |"
    yield "| --- | --- |"
    yield f"| modules | {len(files)}, median {median(file.line_count for file in files):.0f} lines |"
    yield f"| modules over 400 lines | {', '.join(large_files) or 'none'} |"
    yield (
        f"| functions | {len(lengths)}, median {median(lengths):.0f} lines, "
        f"95 % up to {lengths[int(len(lengths) * 0.95)]}, longest {lengths[-1]} |"
    )
    yield f"| classes over 20 methods or 300 lines | {', '.join(large_classes) or 'none'} |"
    yield f"| docstrings | {sum(words.values())} |"
    yield f"| docstrings that begin with a question word | {sum(questions.values())} {questions or ''} |"
    yield (
        f"| docstrings of tests that begin with a question word | {sum(test_questions.values())} "
        f"{test_questions or ''} |"
    )
    yield f"| modules without a test file of their own | {len(untested)} of {len(modules)} |"
    yield f"| private parts of libraries | {len(private)}: {'; '.join(private)} |"
    for name, group in (("package", files), ("tests", tests)):
        counts = sum((file.suppressions() for file in group), Counter())
        yield f"| suppressed checks in the {name} | {counts['type: ignore']} type: ignore, {counts['noqa']} noqa |"
    for kind, examples in FACTS.items():
        named = {spellings[0]: files_naming(spellings, root, files) for spellings in examples}
        sizes = {word: len(found) for word, found in named.items() if found}
        smallest = min(sizes, key=sizes.__getitem__, default=None)
        if smallest is not None:
            yield (
                f"| files that name one {kind} | at least {sizes[smallest]}, median {median(sizes.values()):.0f}; "
                f"`{smallest}`: {', '.join(named[smallest])} |"
            )
    for kind, paths in CHANGES.items():
        yield f"| files to edit for one {kind} | {len(paths)}: {', '.join(paths)} |"
    for name, path in junit.items():
        count, seconds = read_junit(path)
        yield f"| {name} tests | {count} in {seconds:.0f} s |"


def parse_junit(text: str) -> tuple[str, Path]:
    """Parse `NAME=FILE`."""
    name, _, file = text.partition("=")
    return name, Path(file)


def main() -> None:
    """Print the table for the checkout of the command line, by default for this one."""
    parser = argparse.ArgumentParser(description="Measure the code of a checkout.")
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--junit", type=parse_junit, action="append", default=[], metavar="NAME=FILE")
    arguments = parser.parse_args()
    for line in report(arguments.checkout, dict(arguments.junit)):
        print(line)


if __name__ == "__main__":
    main()
