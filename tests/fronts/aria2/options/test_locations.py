"""The options `dir` and `out` as places below the storage root."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.options.locations import find_directory, join_root, split_name


@pytest.mark.parametrize(
    ("text", "root", "directory"),
    [
        ("", "/srv/files", ""),
        ("/srv/files", "/srv/files", ""),
        ("/srv/files/", "/srv/files", ""),
        ("/srv/files/a/b", "/srv/files", "a/b"),
        ("//srv//files//a", "/srv/files/", "a"),
        ("a/b", "/srv/files", "a/b"),
        ("/a", "/", "a"),
        ("/", "/", ""),
    ],
)
def test_a_directory_is_absolute_below_the_root_or_relative_to_it(text: str, root: str, directory: str) -> None:
    assert find_directory(text, root) == directory


@pytest.mark.parametrize("text", ["/srv", "/srv/files2", "/etc", "/", "../x", "/srv/files/../x", "a/../../x", "a\x00"])
def test_a_directory_outside_of_the_root_is_refused_and_named(text: str) -> None:
    with pytest.raises(RpcError) as caught:
        find_directory(text, "/srv/files")
    assert caught.value.message.startswith("We encountered a problem while processing the option '--dir'. ")


@pytest.mark.parametrize(
    ("text", "place"), [("f", ("d", "f")), ("a/f", ("d/a", "f")), ("a//b/f.tar.gz", ("d/a/b", "f.tar.gz"))]
)
def test_a_slash_in_a_name_makes_directories(text: str, place: tuple[str, str]) -> None:
    assert split_name(text, "d") == place


def test_a_name_may_be_in_the_root() -> None:
    assert split_name("f", "") == ("", "f")


@pytest.mark.parametrize("text", ["/f", "../f", "a/../../f", "..", ".", "a/", "a\nb", "a/\x00"])
def test_a_name_that_climbs_is_absolute_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(RpcError) as caught:
        split_name(text, "d")
    assert caught.value.message.startswith("We encountered a problem while processing the option '--out'. ")


def test_paths_are_below_the_root() -> None:
    assert join_root("/srv/files") == "/srv/files"
    assert join_root("/srv/files/", "a/b", "f") == "/srv/files/a/b/f"
    assert join_root("/srv/files", "", "f") == "/srv/files/f"
    assert join_root("/") == "/"
    assert join_root("/", "a") == "/a"


@given(st.lists(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=5), max_size=4).map("/".join))
def test_a_directory_is_found_in_its_own_path(directory: str) -> None:
    if directory.partition("/")[0] != "api":
        assert find_directory(join_root("/srv/files", directory), "/srv/files") == directory
