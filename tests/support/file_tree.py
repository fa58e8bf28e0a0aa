"""Files below a directory that a program changes meanwhile: those that vanish while they are read are left out."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def files_below(root: Path) -> Iterator[Path]:
    """Yield the files, and links to files."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if path.is_file():
                yield path


def contents_below(root: Path) -> dict[str, bytes]:
    """Return the content of each file by its path below the root."""
    contents: dict[str, bytes] = {}
    for path in files_below(root):
        with suppress(FileNotFoundError):
            contents[str(path.relative_to(root))] = path.read_bytes()
    return contents


def size_of(path: Path) -> int:
    """Return the size of a file; 0 if it does not exist."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
