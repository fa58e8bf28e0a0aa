"""Setup of the tests of the records."""

import pytest

pytest.register_assert_rewrite("tests.records.contract")
