"""Plugin that gives each test the marker `fast` or `system`, and keeps system programs out of fast tests."""

import os
import sys
from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

MARKERS: Final = frozenset({"fast", "system"})

EXHAUSTIVE: Final = "exhaustive"
"""Marker of tests that run only if it is selected with `-m`."""

SYSTEM_FOLDERS: Final = frozenset({"benchmarks", "end_to_end", "faults", "fronts/page", "fuzz", "security"})
"""Folders below `tests/` whose tests start the daemon, a browser or a fuzzer."""

SYSTEM_FIXTURES: Final = frozenset(
    {
        "browser",
        "daemon",
        "daemon_in_memory",
        "disk",
        "fork_servers",
        "nginx",
        "playwright",
        "postgres_server",
        "restartable",
        "sftp_requests",
        "sftp_server",
    }
)
"""Fixtures that start a program or mount a file system."""

PLAIN_PROGRAMS: Final = frozenset(
    {"bash", "mount", "setpriv", "sh", "true", "umount", "unshare", Path(sys.executable).name}
)
"""Programs that a fast test may start: Python, and those that a minimal Debian has."""


def is_system_folder(folder: str) -> bool:
    """Return True if all tests of a folder below `tests/` are system tests."""
    return any(folder == each or folder.startswith(f"{each}/") for each in SYSTEM_FOLDERS)


def marker_for(folder: str, fixtures: Collection[str], explicit: Collection[str]) -> str:
    """Return the marker of a test.

    Args:
        folder: the folder of the test's module, below `tests/`.
        fixtures: the names of all fixtures that the test uses, indirectly too.
        explicit: the markers that the test or its module sets.

    Raises:
        ValueError: both markers are set, or a test in a folder of system tests is marked as fast.
    """
    chosen = sorted(MARKERS.intersection(explicit))
    if len(chosen) > 1:
        raise ValueError("a test is either fast or a system test")
    if is_system_folder(folder):
        if chosen == ["fast"]:
            raise ValueError(f"{folder}/ has system tests only")
        return "system"
    if chosen:
        return chosen[0]
    return "fast" if SYSTEM_FIXTURES.isdisjoint(fixtures) else "system"


def is_plain_command(executable: str | bytes | os.PathLike[str], arguments: Sequence[Any]) -> bool:
    """Return True if a fast test may start this command."""
    if Path(os.fsdecode(executable)).name not in PLAIN_PROGRAMS:
        return False
    words = [os.fsdecode(word) if isinstance(word, bytes) else str(word) for word in arguments]
    return not any(Path(word).name in {"downloadd", "downloadctl"} for word in words)


class MarkerPlugin:
    """Plugin of pytest; `tests` is the folder that the rule's folders lie in."""

    def __init__(self, tests: Path) -> None:
        self._tests = tests
        self._is_fast_test_running = False
        sys.addaudithook(self.audit)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Mark each test before pytest selects by markers; leave out what takes minutes unless it is selected."""
        if EXHAUSTIVE not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(EXHAUSTIVE)]
            items[:] = [item for item in items if item not in left_out]
            config.hook.pytest_deselected(items=left_out)
        for item in items:
            explicit = [mark.name for mark in item.iter_markers()]
            fixtures = getattr(item, "fixturenames", ())
            folder = item.path.parent.relative_to(self._tests).as_posix()
            try:
                marker = marker_for(folder, fixtures, explicit)
            except ValueError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from None
            if marker not in explicit:
                item.add_marker(marker)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch the programs that a fast test starts."""
        self._is_fast_test_running = item.get_closest_marker("fast") is not None
        try:
            return (yield)
        finally:
            self._is_fast_test_running = False

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse the start of a system program by a fast test.

        Raises:
            PermissionError: the running test is fast and the program is not plain.
        """
        if event != "subprocess.Popen" or not self._is_fast_test_running:
            return
        executable, command, *_ = arguments
        if not is_plain_command(executable, [command] if isinstance(command, str | bytes) else command):
            raise PermissionError(f"a fast test starts {executable}: mark it with pytest.mark.system")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin for the folder `tests/`."""
    config.pluginmanager.register(MarkerPlugin(Path(__file__).parents[1]))
