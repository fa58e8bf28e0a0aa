"""What the tests of the records share."""

import pytest

pytest.register_assert_rewrite("records.contract")
