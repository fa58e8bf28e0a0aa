"""Parameters of the tests that run the scenarios with downloads: those that every run has, and the others."""

from typing import Final

import pytest
from support.crash_runner import DOWNLOAD_SCENARIOS

ESSENTIAL: Final = frozenset(
    {"one_file", "small_files_at_once", "segments", "interrupted_and_retried", "renamed_while_running", "cancelled"}
)
"""Scenarios that reach each kind of write; the others reach the same writes from other states."""

SCENARIOS: Final = tuple(
    pytest.param(name, marks=() if name in ESSENTIAL else pytest.mark.exhaustive) for name in DOWNLOAD_SCENARIOS
)
