"""Plugin that keeps a run short: the number of workers and examples, the place of files, and what is collected."""

import gc
import shutil
import tempfile
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from support.markers import is_system_folder
from support.memory_folder import MEMORY, may_hold_all_files

TESTS: Final = Path(__file__).parents[1]


def is_fast_run(config: pytest.Config) -> bool:
    """Return True if only fast tests run, which is after each edit."""
    return bool(config.getoption("markexpr") == "fast")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of workers for two cores.

    Fast tests use the CPU, and each worker collects all of them. Most others wait for sockets, disks and processes.
    """
    return 3 if is_fast_run(config) else 4


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Generate fewer examples if only fast tests run, and keep their files in memory."""
    # Other load makes single examples slow; the time limit of a test ends what hangs.
    settings.register_profile("tests", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("fast", settings.get_profile("tests"), max_examples=25)
    settings.load_profile("fast" if is_fast_run(config) else "tests")
    # A worker has the option already.
    if is_fast_run(config) and config.option.basetemp is None and may_hold_all_files():
        config.option.basetemp = tempfile.mkdtemp(prefix="pytest-", dir=MEMORY)
        config.add_cleanup(partial(shutil.rmtree, config.option.basetemp, ignore_errors=True))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the folders without fast tests if only fast tests run: their modules need not be imported."""
    if is_fast_run(config) and collection_path.is_relative_to(TESTS):
        return is_system_folder(collection_path.relative_to(TESTS).as_posix()) or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without garbage collections, each of which would visit all tests that are collected so far."""
    gc.disable()
    try:
        return (yield)
    finally:
        # Tests are no garbage until the end.
        gc.freeze()
        gc.enable()
