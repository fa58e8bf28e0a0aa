"""Plugins of all tests."""

import os
import signal
import sys

import pytest

# Images of containers switch bytecode off. Then each worker rewrites the assertions of all tests in each run, and each
# daemon of a test compiles its modules.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Failed assertions of these modules show their values.
pytest.register_assert_rewrite("support", "records.contract", "records.contracts", "imports.uploads_contract")


def pytest_configure() -> None:
    """Let programs that tests interrupt receive SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell ignores it for commands in the background, and programs that tests start would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)


pytest_plugins = [
    "support.run_options",
    "support.markers",
    "support.failed_tests",
    "support.fixtures",
    "support.object_fixtures",
    "support.sftp_fixtures",
    "support.small_disk",
]
