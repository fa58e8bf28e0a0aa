import pytest
from support.run_options import TESTS

pytest_plugins = ["pytester"]

TWO_TESTS = """
import gc
import socket

def test_that_fails():
    cycle = [socket.socket()]
    cycle.append(cycle)
    assert cycle == []

def test_that_runs_later():
    gc.collect()
"""


def test_what_a_failed_test_left_open_fails_no_test_that_runs_later(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    pytester.makepyfile(TWO_TESTS)
    # Without the plugin, the second one has an error.
    done = pytester.runpytest_subprocess("-Werror", "-pno:cacheprovider", "-psupport.failed_tests")
    done.assert_outcomes(failed=1, passed=1)
