import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.config import DirectoryConfig
from downloadd.download import Conflict
from downloadd.errors import InvalidPathError
from downloadd.policy.directories import DirectoryRules
from downloadd.terms import Quota, Terms

RULES = DirectoryRules(
    [
        DirectoryConfig(path="team", quota=100, users=("ann", "bob"), conflict=Conflict.ERROR, mode="0640"),
        DirectoryConfig(path="team/inner", quota=10, owner="7:-1"),
        DirectoryConfig(path="team/inner/deep/er", users=("eve",)),
    ]
)


@pytest.mark.parametrize("directory", ["", "tea", "teams", "Team", "team2/inner", "x/team", "x/team/inner"])
def test_elsewhere_nothing_holds(directory: str) -> None:
    assert RULES.terms_of(directory) == Terms()
    assert RULES.may_use("anybody", directory)


@pytest.mark.parametrize("directory", ["team", "team/", "/team", "//team//", "team/a", "/team//a/b/", "team/inner2"])
def test_a_table_holds_for_everything_below_its_path(directory: str) -> None:
    terms = RULES.terms_of(directory)
    assert terms.quotas == (Quota(directory="team", limit=100),)
    assert (terms.conflict, terms.mode, terms.owner) == (Conflict.ERROR, 0o640, None)
    assert [RULES.may_use(user, directory) for user in ("ann", "bob", "eve", "", "ANN", "an")] == [
        True,
        True,
        *[False] * 4,
    ]


def test_each_key_is_that_of_the_longest_path_that_gives_it_and_quotas_hold_together() -> None:
    terms = RULES.terms_of("team/inner/deep")
    assert terms.quotas == (Quota(directory="team", limit=100), Quota(directory="team/inner", limit=10))
    assert (terms.owner, terms.mode, terms.conflict) == ((7, -1), 0o640, Conflict.ERROR)
    # A table that sets a quota alone lets nobody in.
    assert terms.users == frozenset({"ann", "bob"})
    assert RULES.terms_of("team/inner/deep/er/x").users == frozenset({"eve"})


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
def test_a_spelling_that_a_forgiving_file_system_takes_for_another_is_refused(directory: str) -> None:
    with pytest.raises(InvalidPathError, match="too like 'team"):
        RULES.require_distinct(directory)


@pytest.mark.parametrize("directory", ["", "team", "team/inner/deep/er", "team/x/Inner", "teams", "x/Team", "e\u0301"])
def test_any_other_spelling_is_another_directory(directory: str) -> None:
    RULES.require_distinct(directory)


def test_both_of_two_that_are_alike_may_be_configured() -> None:
    rules = DirectoryRules([DirectoryConfig(path="a/e\u0301"), DirectoryConfig(path="a/E\u0301")])
    rules.require_distinct("a/e\u0301")
    rules.require_distinct("a/E\u0301")
    with pytest.raises(InvalidPathError):
        rules.require_distinct("a/\u00e9")


def test_the_root_may_have_terms_too() -> None:
    rules = DirectoryRules([DirectoryConfig(path="", users=("ann",)), DirectoryConfig(path="open", users=("bob",))])
    assert [rules.may_use("ann", directory) for directory in ("", "/", "a", "open")] == [True, True, True, False]


@given(
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3),
)
def test_the_rules_agree_with_a_naive_reading(asked: list[str], configured: list[str]) -> None:
    rules = DirectoryRules([DirectoryConfig(path="/".join(configured), users=("ann",))])
    assert rules.may_use("bob", "/".join(asked)) is (asked[: len(configured)] != configured)
