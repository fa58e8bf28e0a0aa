"""Plugins of all tests."""

import pytest
from hypothesis import HealthCheck, settings

# Failed assertions of these modules show their values.
pytest.register_assert_rewrite("support", "records.contract")

# Other load makes single examples slow; the time limit of a test ends what hangs.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("tests"), max_examples=25)


def pytest_configure(config: pytest.Config) -> None:
    """Generate fewer examples if only fast tests run: they run after each edit."""
    settings.load_profile("fast" if config.getoption("markexpr") == "fast" else "tests")


pytest_plugins = ["support.markers", "support.fixtures", "support.small_disk"]
