"""Measurement of the code: `python tests/support/measure_code.py [CHECKOUT]` prints a table in Markdown.

It counts what a reader notices: sizes, docstrings by their first word, modules without a test file, private attributes
of libraries, and in how many files one fact of each kind is written down.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

QUESTION_WORDS: Final = ("What", "How", "Whether", "Where", "Who", "Why", "Which", "When", "Whose")

FACTS: Final = {
    "start parameter (`speed_limit`)": "speed_limit",
    "start parameter (`priority`)": "priority",
    "column (`content_type` of a result)": "content_type",
    "error code (`FILE_EXISTS`)": "FILE_EXISTS",
    "state (`skipped`)": "skipped",
    "importer (`metalink`)": "metalink",
    "setting (`max_queued`)": "max_queued",
}
"""One example of each kind of fact, by the word that stands for it."""

EVENT_WORDS: Final = ("DownloadEnded", "DownloadFinished", "history")

GENERATED: Final = ("config.example.toml", "docs/api.md", "docs/errors.md", "docs/configuration.md", "docs/reference/")

Definition = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


class Module:
    """One file of the package, parsed."""

    def __init__(self, path: Path, package: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(package))
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    @property
    def lines(self) -> int:
        """Lines in the file."""
        return self.text.count("\n")

    def nodes(self, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
        """Yield every node of this kind."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kind))

    def code_words(self) -> set[str]:
        """Return the names in the code and the words of its short strings; comments and docstrings are left out."""
        words: set[str] = set()
        docstrings = {
            node.body[0].lineno
            for node in ast.walk(self.tree)
            if isinstance(node, Documented) and ast.get_docstring(node) is not None
        }
        previous = tokenize.NEWLINE
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            is_statement = previous in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL}
            if token.type == tokenize.NAME:
                words.add(token.string)
            elif token.type == tokenize.STRING and token.start[0] not in docstrings and not is_statement:
                words.update(re.findall(r"\w+", token.string))
            previous = token.type
        return words


def length(node: ast.AST) -> int:
    """Return the lines that a definition takes, without its docstring."""
    assert isinstance(node, Documented)
    assert not isinstance(node, ast.Module)
    first = node.body[0]
    document = 0
    if ast.get_docstring(node) is not None:
        document = (first.end_lineno or first.lineno) - first.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - document


def method_count(node: ast.AST) -> int:
    """Return how many methods a class defines."""
    assert isinstance(node, ast.ClassDef)
    return sum(isinstance(item, Definition) for item in node.body)


def first_words(modules: list[Module]) -> Counter[str]:
    """Count docstrings by their first word."""
    counts: Counter[str] = Counter()
    for module in modules:
        for node in module.nodes((ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
            text = ast.get_docstring(node)  # type: ignore[arg-type]
            if text:
                counts[text.split()[0].strip("`.,:")] += 1
    return counts


def private_attributes(modules: list[Module]) -> list[str]:
    """List `object._name` where the object is neither `self` nor `cls` and no class of the module defines the name."""
    found = []
    for module in modules:
        own = {
            node.attr
            for node in module.nodes(ast.Attribute)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        }
        own |= {
            node.name for node in module.nodes((ast.FunctionDef, ast.AsyncFunctionDef)) if isinstance(node, Definition)
        }
        for node in module.nodes(ast.Attribute):
            if not isinstance(node, ast.Attribute) or not re.match(r"_[a-z]", node.attr) or node.attr in own:
                continue
            if node.attr in {"_value_", "_name_"}:
                continue
            found.append(f"{module.name}: {ast.unparse(node)}")
    return sorted(set(found))


def has_test(module: Module, tests: Path) -> bool:
    """Return True if a test file mirrors the module."""
    path = Path(module.name)
    return (tests / path.parent / f"test_{path.stem}.py").exists()


def files_that_write(word: str, root: Path, modules: list[Module]) -> list[str]:
    """List the files of code and of hand-written text in which a word stands."""
    found = [module.name for module in modules if word in module.code_words()]
    pattern = re.compile(rf"\b{word}\b")
    texts = [*root.glob("*.md"), root / "config.example.toml", *root.glob("docs/**/*.md")]
    texts += [path for path in (root / "downloadd").rglob("*") if path.suffix in {".js", ".html", ".sql"}]
    for path in texts:
        name = str(path.relative_to(root))
        if name == "CHANGELOG.md" or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if pattern.search(text) and "generated" not in text[:200].lower() and "Made by" not in text[:200]:
            found.append(name)
    return sorted(found)


def report(root: Path) -> Iterator[str]:
    """Yield the lines of the table."""
    package = root / "downloadd"
    modules = [Module(path, package) for path in sorted(package.rglob("*.py"))]
    functions = [node for module in modules for node in module.nodes((ast.FunctionDef, ast.AsyncFunctionDef))]
    classes = [(module, node) for module in modules for node in module.nodes(ast.ClassDef)]
    lengths = sorted(length(node) for node in functions)
    words = first_words(modules)
    questions = {word: words[word] for word in QUESTION_WORDS if words[word]}
    large = [
        f"{node.name} ({method_count(node)} methods, {length(node)} lines)"
        for _, node in classes
        if isinstance(node, ast.ClassDef) and (method_count(node) > 20 or length(node) > 300)
    ]
    tested = [module for module in modules if not module.name.endswith("__init__.py")]
    untested = [module.name for module in tested if not has_test(module, root / "tests")]
    private = private_attributes(modules)
    yield "| measure | value |"
    yield "| --- | --- |"
    yield f"| modules | {len(modules)}, median {median(module.lines for module in modules):.0f} lines |"
    yield f"| modules over 400 lines | {', '.join(f'{m.name} {m.lines}' for m in modules if m.lines > 400) or 'none'} |"
    yield (
        f"| functions | {len(functions)}, median {median(lengths):.0f} lines, "
        f"95 % up to {lengths[int(len(lengths) * 0.95)]}, longest {lengths[-1]} |"
    )
    yield f"| classes over 20 methods or 300 lines | {', '.join(large) or 'none'} |"
    yield f"| docstrings | {sum(words.values())} |"
    yield f"| docstrings that begin with a question word | {sum(questions.values())} {questions or ''} |"
    yield f"| modules without a test file of their own | {len(untested)} of {len(tested)} |"
    yield f"| private attributes of others | {len(private)} |"
    for kind, word in FACTS.items():
        files = files_that_write(word, root, modules)
        yield f"| files that write one {kind} | {len(files)}: {', '.join(files)} |"


def main() -> None:
    """Print the table for the checkout that the command line names, or for this one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    for line in report(root):
        print(line)


if __name__ == "__main__":
    main()
