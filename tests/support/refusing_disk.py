"""Disk below a folder that refuses calls, put in place of the calls of the operating system."""

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Final

import pytest

DISK_CALLS: Final[dict[str, str | int]] = {
    "mkdir": "dir_fd",
    "unlink": "dir_fd",
    "rename": "src_dir_fd",
    "link": "src_dir_fd",
    "fchmod": 0,
    "fchown": 0,
    "utime": 0,
    "pwritev": 0,
    "pwrite": 0,
    "write": 0,
    "splice": 1,
    "fsync": 0,
    "fdatasync": 0,
    "statvfs": 0,
}
"""Functions of `os` that change or measure a disk, with the argument that has a descriptor of it.

Opening of new files is a call `create`.
"""

CALLS: Final = frozenset({"create", *DISK_CALLS})


class RefusingDisk:
    """Disk that refuses calls for descriptors below a folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self._root = root
        self._place, self._name = "", b""
        self._refused: Collection[str] = ()
        self._number = 0
        for name, place in DISK_CALLS.items():
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name), place))
        monkeypatch.setattr(os, "open", self._wrap_open(os.open))

    def refuse(self, number: int, calls: Collection[str] = CALLS, *, below: str = "", name: str = "") -> None:
        """Refuse calls with this number of `errno` from now on.

        Args:
            number: the error.
            calls: the calls.
            below: the directory that they concern, with all below it.
            name: a part of the names that they concern.
        """
        assert CALLS.issuperset(calls)
        self._number, self._refused = number, calls
        self._place, self._name = os.fspath(self._root / below), os.fsencode(name)

    def accept(self) -> None:
        """Work again."""
        self._refused = ()

    def _check(self, call: str, fd: object, paths: Iterable[Any]) -> None:
        is_named = not self._name or any(isinstance(path, bytes) and self._name in path for path in paths)
        if call in self._refused and is_named and isinstance(fd, int) and self._is_below(fd):
            raise OSError(self._number, os.strerror(self._number))

    def _is_below(self, fd: int) -> bool:
        try:
            return os.readlink(f"/proc/self/fd/{fd}").startswith(self._place)
        except FileNotFoundError:
            return False

    def _wrap(self, name: str, real: Callable[..., Any], place: int | str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            fd = options.get(place) if isinstance(place, str) else [*arguments, None, None][place]
            self._check(name, fd, arguments)
            return real(*arguments, **options)

        return call

    def _wrap_open(self, real: Callable[..., int]) -> Callable[..., int]:
        def open_file(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT:
                self._check("create", options.get("dir_fd"), [path])
            return real(path, flags, *arguments, **options)

        return open_file
