"""Disk that takes only short names, put in place of the calls of the operating system."""

import errno
import os
from typing import Any

import pytest

_CALLS = {"open": 1, "stat": 1, "mkdir": 1, "unlink": 1, "rename": 2, "link": 2}
"""Names of calls, with the number of paths that each takes."""


def limit_names(monkeypatch: pytest.MonkeyPatch, max_bytes: int, *, stated: int | None = None) -> None:
    """Refuse longer names with ENAMETOOLONG; the disk states `stated` bytes, by default the real limit."""

    def limited(name: str, paths: int) -> Any:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            for path in arguments[:paths]:
                if isinstance(path, str | bytes) and len(os.fsencode(os.path.basename(path))) > max_bytes:
                    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            return real(*arguments, **options)

        return call

    for name, paths in _CALLS.items():
        monkeypatch.setattr(os, name, limited(name, paths))
    real_statvfs = os.fstatvfs

    def fstatvfs(fd: int) -> os.statvfs_result:
        fields = list(real_statvfs(fd))
        # f_namemax; the last field, f_fsid, is not in the sequence.
        fields[9] = max_bytes if stated is None else stated
        return os.statvfs_result(fields)

    monkeypatch.setattr(os, "fstatvfs", fstatvfs)
