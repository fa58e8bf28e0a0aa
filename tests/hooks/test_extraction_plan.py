from collections.abc import Sequence

import pytest

from downloadd.errors import InvalidPathError
from downloadd.hooks.extraction_plan import plan_files


@pytest.mark.parametrize(
    ("entries", "paths"),
    [
        pytest.param(["a", "d/b", "d//./c"], ["top/a", "top/d/b", "top/d/c"], id="safe"),
        pytest.param(
            ["aa:b", "aa*b", "aa?b"], ["top/aa_b", "top/aa_b (1)", "top/aa_b (2)"], id="names become the same"
        ),
        pytest.param(["aa_b (1)", "aa:b", "aa*b"], ["top/aa_b (1)", "top/aa_b", "top/aa_b (2)"], id="number is taken"),
        pytest.param(["a", "a/b"], ["top/a (1)", "top/a/b"], id="file and directory"),
        pytest.param(["aux/.git/x", "\N{RIGHT-TO-LEFT OVERRIDE}d/x"], ["top/_aux/git/x", "top/d/x"], id="directories"),
        pytest.param(["api/x", ".downloadd/x"], ["top/api/x", "top/downloadd/x"], id="reserved at the top only"),
        pytest.param(["d/."], ["top/d/download"], id="no name"),
    ],
)
def test_each_file_gets_a_safe_path_of_its_own(entries: Sequence[str], paths: Sequence[str]) -> None:
    assert [f"{each.directory}/{each.filename}" for each in plan_files(entries, "top")] == paths


def test_many_files_with_one_safe_name_are_planned_in_linear_time() -> None:
    planned = plan_files((f"x/{number:020b}".translate({48: ":", 49: "*"}) for number in range(20_000)), "top")
    assert len({each.filename for each in planned}) == 20_000


def test_a_path_that_is_too_long_is_refused_before_anything_is_written() -> None:
    with pytest.raises(InvalidPathError, match="longer than 3072 bytes"):
        plan_files(["a", "/".join(["d" * 200] * 18) + "/b"], "top")
