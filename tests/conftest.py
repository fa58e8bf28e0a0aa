"""Plugins of all tests."""

import pytest
from hypothesis import HealthCheck, settings

# Failed assertions of these modules show their values.
pytest.register_assert_rewrite("support", "records.contract")

# Other load makes single examples slow; the time limit of a test ends what hangs.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

pytest_plugins = ["support.markers", "support.fixtures", "support.small_disk"]
