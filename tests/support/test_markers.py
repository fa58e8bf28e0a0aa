"""The markers `fast` and `system`."""

import subprocess
import sys

import pytest
from support.markers import EXHAUSTIVE, MARKERS, is_plain_command, marker_for


def test_each_collected_test_has_one_of_the_two_markers(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        assert len([mark for mark in item.iter_markers() if mark.name in MARKERS]) == 1, item.nodeid


@pytest.mark.parametrize(
    ("folder", "fixtures", "explicit", "expected"),
    [
        pytest.param("policy", ["origin", "tmp_path"], ["parametrize"], "fast", id="in the process"),
        pytest.param(".", [], [], "fast", id="top folder"),
        pytest.param("end_to_end", [], [], "system", id="folder"),
        pytest.param("fronts/page", [], [], "system", id="inner folder"),
        pytest.param("fronts/page/inner", [], [], "system", id="below an inner folder"),
        pytest.param("fronts/pages", [], [], "fast", id="other folder with the same beginning"),
        pytest.param("policy", ["tmp_path", "daemon"], [], "system", id="fixture"),
        pytest.param("policy", [], ["system"], "system", id="explicitly a system test"),
        pytest.param("policy", ["daemon"], ["fast"], "fast", id="explicitly fast"),
    ],
)
def test_the_marker_follows_from_folder_fixtures_and_marks(
    folder: str, fixtures: list[str], explicit: list[str], expected: str
) -> None:
    assert marker_for(folder, fixtures, explicit) == expected


def test_an_exhaustive_test_runs_only_if_it_is_selected(request: pytest.FixtureRequest) -> None:
    left_out = [item.nodeid for item in request.session.items if item.get_closest_marker(EXHAUSTIVE)]
    assert left_out == [] or EXHAUSTIVE in request.config.option.markexpr


def test_a_test_with_both_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="either fast or a system test"):
        marker_for("policy", [], ["fast", "system"])


def test_a_fast_test_in_a_folder_of_system_tests_is_refused() -> None:
    with pytest.raises(ValueError, match="faults/ has system tests only"):
        marker_for("faults", [], ["fast"])


@pytest.mark.parametrize(
    ("command", "is_plain"),
    [
        pytest.param([sys.executable, "-Ic", "print()"], True, id="Python"),
        pytest.param(["sh", "-c", "exit"], True, id="shell"),
        pytest.param([b"/bin/sh", b"-c", b"exit"], True, id="bytes"),
        pytest.param([sys.executable, "-Im", "downloadd"], False, id="daemon"),
        pytest.param([sys.executable, "/usr/bin/downloadctl"], False, id="command"),
        pytest.param(["/usr/sbin/nginx"], False, id="nginx"),
    ],
)
def test_a_plain_command_needs_no_package(command: list[str], is_plain: bool) -> None:
    assert is_plain_command(command[0], command) is is_plain


def test_a_fast_test_cannot_start_a_system_program() -> None:
    with pytest.raises(PermissionError, match=r"a fast test starts nginx: mark it with pytest\.mark\.system"):
        subprocess.run(["nginx", "-v"], check=False)
