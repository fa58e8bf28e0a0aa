"""The driver of PostgreSQL as if it was not installed."""

import sys

import pytest


def hide_asyncpg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports of the driver fail until the patch is undone; what uses it is imported anew meanwhile."""
    for name, module in list(sys.modules.items()):
        package, _, leaf = name.rpartition(".")
        if name.startswith("downloadd.records.postgres.") and package in sys.modules:
            # An import sets the attribute of the package too.
            monkeypatch.setattr(sys.modules[package], leaf, module)
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
