"""Rights that a machine may refuse to tests: to mount, or to become another user."""

import os
from typing import Final, NoReturn

import pytest

MUST_RUN_VARIABLE: Final = "TESTS_MUST_RUN"
"""Variable of the environment that `.ci/run` sets, so that no promise is left unchecked there."""


def not_allowed(what: str) -> NoReturn:
    """Skip the test because the machine does not allow `what`, an infinitive; fail it in `.ci/run`."""
    sentence = f"this machine does not allow to {what}"
    if MUST_RUN_VARIABLE in os.environ:
        pytest.fail(f"{sentence}; run .ci/run as root and with the capability CAP_SYS_ADMIN")
    pytest.skip(sentence)
