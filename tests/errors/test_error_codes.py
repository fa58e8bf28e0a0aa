"""Codes that the source and the tests name, which type checkers do not check: the enumeration is made at run time."""

import ast
from collections.abc import Iterator
from pathlib import Path

import downloadd
from downloadd.errors import ErrorCode

PACKAGE = Path(downloadd.__file__).parent
TESTS = Path(__file__).parents[1]


def named_codes(source: str) -> Iterator[str]:
    """Yield each name that is read from `ErrorCode`, or from `ErrorCode` of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] == "ErrorCode":
            yield node.attr


def unknown_codes(source: str) -> set[str]:
    return {name for name in named_codes(source) if name not in ErrorCode.__members__ and not name.startswith("__")}


def test_every_code_that_is_named_exists() -> None:
    sources = {path: path.read_text() for folder in (PACKAGE, TESTS) for path in folder.rglob("*.py")}
    named = {path: source for path, source in sources.items() if "ErrorCode." in source}
    assert named
    assert {str(path): unknown for path, source in named.items() if (unknown := unknown_codes(source))} == {}


def test_an_unknown_code_is_found() -> None:
    source = "errors.ErrorCode.NO_SUCH_CODE, ErrorCode.NETWORK_ERROR, ErrorCode.__members__, ErrorCode('x').value"
    assert unknown_codes(source) == {"NO_SUCH_CODE"}
