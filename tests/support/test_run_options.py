import gc

import pytest
from support.run_options import TESTS, is_fast_run, pytest_ignore_collect


@pytest.mark.parametrize(
    ("expression", "folder", "is_ignored"),
    [
        pytest.param("fast", "faults", True, id="fast run, folder of system tests"),
        pytest.param("fast", "fronts/page/test_page.py", True, id="fast run, file in one"),
        pytest.param("fast", "fronts", None, id="fast run, other folder"),
        pytest.param("not fast", "faults", None, id="another selection"),
        pytest.param("", "faults", None, id="all tests"),
    ],
)
def test_only_a_fast_run_leaves_the_folders_of_system_tests_out(
    expression: str, folder: str, is_ignored: bool | None, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytestconfig.option, "markexpr", expression)
    assert is_fast_run(pytestconfig) is (expression == "fast")
    assert pytest_ignore_collect(TESTS / folder, pytestconfig) is is_ignored


def test_garbage_is_collected_while_tests_run_but_tests_are_not_visited() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
