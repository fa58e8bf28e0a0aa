"""Plugins of all tests."""

import signal

import pytest
from hypothesis import HealthCheck, settings

# Failed assertions of these modules show their values.
pytest.register_assert_rewrite("support", "records.contract")

# Other load makes single examples slow; the time limit of a test ends what hangs.
settings.register_profile("tests", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("tests"), max_examples=25)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of workers for two cores.

    Fast tests use the CPU, and each worker collects all of them. Most others wait for sockets, disks and processes.
    """
    return 3 if config.getoption("markexpr") == "fast" else 4


def pytest_configure(config: pytest.Config) -> None:
    """Generate fewer examples if only fast tests run, which is after each edit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell ignores it for commands in the background, and programs that tests interrupt would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("fast" if config.getoption("markexpr") == "fast" else "tests")


pytest_plugins = ["support.markers", "support.fixtures", "support.small_disk"]
