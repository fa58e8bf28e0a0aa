"""Plugins of all tests."""

import pytest

# Failed assertions of the support modules show their values.
pytest.register_assert_rewrite("support", "records.contract")

pytest_plugins = ["support.markers", "support.fixtures", "support.small_disk"]
