import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.config import DirectoryConfig
from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Conflict
from downloadd.errors import InvalidPathError
from downloadd.policy.directories import DirectoryRules, is_below

RULES = DirectoryRules(
    [
        DirectoryConfig(path="team", quota=100, users=("ann", "bob"), conflict=Conflict.ERROR, mode="0640"),
        DirectoryConfig(path="team/inner", quota=10, owner="7:-1"),
        DirectoryConfig(path="team/inner/deep/er", users=("eve",)),
    ]
)


@pytest.mark.parametrize("directory", ["", "tea", "teams", "Team", "team2/inner", "x/team", "x/team/inner"])
def test_a_directory_without_a_table_has_the_defaults(directory: str) -> None:
    assert RULES.settings_of(directory) == DirectorySettings()
    assert RULES.allows_user("anybody", directory)


@pytest.mark.parametrize("directory", ["team", "team/", "/team", "//team//", "team/a", "/team//a/b/", "team/inner2"])
def test_a_table_applies_to_everything_below_its_path(directory: str) -> None:
    directory_settings = RULES.settings_of(directory)
    assert directory_settings.quotas == (Quota(directory="team", limit=100),)
    assert (directory_settings.conflict, directory_settings.mode, directory_settings.owner) == (
        Conflict.ERROR,
        0o640,
        None,
    )
    assert [RULES.allows_user(user, directory) for user in ("ann", "bob", "eve", "", "ANN", "an")] == [
        True,
        True,
        *[False] * 4,
    ]


def test_each_key_is_that_of_the_longest_path_that_gives_it_and_all_quotas_apply() -> None:
    directory_settings = RULES.settings_of("team/inner/deep")
    assert directory_settings.quotas == (Quota(directory="team", limit=100), Quota(directory="team/inner", limit=10))
    assert (directory_settings.owner, directory_settings.mode, directory_settings.conflict) == (
        (7, -1),
        0o640,
        Conflict.ERROR,
    )
    # A table that sets a quota alone lets nobody in.
    assert directory_settings.users == frozenset({"ann", "bob"})
    assert RULES.settings_of("team/inner/deep/er/x").users == frozenset({"eve"})


@pytest.mark.parametrize(
    "directory",
    [
        "Team",
        "TEAM/x",
        "team.",
        "team ",
        "te\u200bam",
        "\uff54eam",
        "team/Inner",
        "team/inner/deep/ER/x",
        "team/\u0131nner",
    ],
)
def test_a_spelling_that_collides_with_a_configured_path_is_refused(directory: str) -> None:
    with pytest.raises(InvalidPathError, match="too similar to 'team"):
        RULES.check_distinct(directory)


@pytest.mark.parametrize("directory", ["", "team", "team/inner/deep/er", "team/x/Inner", "teams", "x/Team", "e\u0301"])
def test_any_other_spelling_is_another_directory(directory: str) -> None:
    RULES.check_distinct(directory)


def test_two_paths_that_collide_may_both_be_configured() -> None:
    rules = DirectoryRules([DirectoryConfig(path="a/e\u0301"), DirectoryConfig(path="a/E\u0301")])
    rules.check_distinct("a/e\u0301")
    rules.check_distinct("a/E\u0301")
    with pytest.raises(InvalidPathError):
        rules.check_distinct("a/\u00e9")


def test_the_root_may_have_settings_too() -> None:
    rules = DirectoryRules([DirectoryConfig(path="", users=("ann",)), DirectoryConfig(path="open", users=("bob",))])
    assert [rules.allows_user("ann", directory) for directory in ("", "/", "a", "open")] == [True, True, True, False]


@given(
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3),
)
def test_the_rules_agree_with_a_simple_implementation(asked: list[str], configured: list[str]) -> None:
    rules = DirectoryRules([DirectoryConfig(path="/".join(configured), users=("ann",))])
    assert rules.allows_user("bob", "/".join(asked)) is (asked[: len(configured)] != configured)


@pytest.mark.parametrize(
    ("directory", "pattern", "expected"),
    [
        ("", "", True),
        ("a/b", "", True),
        ("a", "a", True),
        ("a/b/c", "a/b", True),
        ("ab", "a", False),
        ("", "a", False),
        ("a", "a/*", False),
        ("a/b", "a/*", True),
        ("a/b/c", "a/*", True),
        ("a/b", "*/b", True),
        ("a/x/b", "*/b", False),
        ("A", "a", False),
        ("a1", "a[0-9]", True),
    ],
)
def test_a_pattern_matches_directories_and_those_below(directory: str, pattern: str, expected: bool) -> None:
    assert is_below(directory, pattern) is expected
