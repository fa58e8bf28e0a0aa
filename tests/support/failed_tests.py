"""Plugin that closes what a failed test left open, so that no warning about it fails a test that runs later."""

import gc
import sys
import warnings
from collections.abc import Generator

import pytest


class FailedTestPlugin:
    """Plugin of pytest that collects the garbage of each failed test at its end."""

    def __init__(self) -> None:
        self._has_failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Remember a failure of the test or of its fixtures."""
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            self._has_failed = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Collect garbage after a failure."""
        self._has_failed = False
        result = yield
        if self._has_failed:
            collect_garbage_of_exception()
        return result


def collect_garbage_of_exception() -> None:
    """Delete the last exception, whose frames refer to the variables of the test, and close files and sockets."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin."""
    config.pluginmanager.register(FailedTestPlugin())
