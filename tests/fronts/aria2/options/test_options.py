"""Options of a call."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.options.option_table import OPTIONS
from downloadd.fronts.aria2.options.options import DOWNLOAD_USES, GLOBAL_USES, bad_option, inherit_options, read_options


def read(**given: Any) -> dict[str, str]:
    return read_options({name.replace("_", "-"): value for name, value in given.items()}, DOWNLOAD_USES)


def message_of(**given: Any) -> str:
    with pytest.raises(RpcError) as caught:
        read(**given)
    return caught.value.message


def test_options_have_canonical_texts() -> None:
    assert read(max_download_limit="100K", split="05", out="f") == {
        "max-download-limit": "102400",
        "split": "5",
        "out": "f",
    }


def test_integers_and_booleans_are_taken_for_their_texts() -> None:
    assert read(split=5, pause=True, allow_overwrite=False) == {
        "split": "5",
        "pause": "true",
        "allow-overwrite": "false",
    }


@pytest.mark.parametrize("value", [None, 1.5, {}, ["a"], b"x"])
def test_values_of_other_types_are_ignored(value: object) -> None:
    assert read(split=value, dir=value, continue_=value) == {}


def test_unknown_options_are_ignored_with_any_value() -> None:
    assert read(foo="bar", bt_max_peers="x", rpc_secret="s") == {}


def test_ignored_options_are_checked_and_left_out() -> None:
    assert read(**{"continue": "true", "file-allocation": "none"}) == {}
    assert message_of(**{"continue": "x"}) == "We encountered a problem while processing the option '--continue'."


@pytest.mark.parametrize(
    ("name", "value"), [("split", "0"), ("max-download-limit", "abc"), ("pause", "maybe"), ("checksum", "sha-1=1")]
)
def test_an_impossible_value_has_the_text_of_aria2(name: str, value: str) -> None:
    assert message_of(**{name: value}) == f"We encountered a problem while processing the option '--{name}'."


def test_header_is_a_text_or_a_list() -> None:
    assert read(header="A: b\nC: d\n") == {"header": "A: b\nC: d"}
    assert read(header=["A: b", 1, None, "", "C: d"]) == {"header": "A: b\nC: d"}
    assert read(header=[]) == {"header": ""}


def test_a_line_break_in_a_member_of_header_is_refused() -> None:
    assert "'--header'" in message_of(header=["A: b", "C: d\nE: f"])


def test_global_options_and_those_of_a_download_have_different_uses() -> None:
    given = {"max-concurrent-downloads": "3", "gid": "x", "split": "2", "checksum": "x"}
    assert read_options(given, GLOBAL_USES) == {"max-concurrent-downloads": "3", "split": "2"}
    assert read_options({**given, "checksum": ""} | {"checksum": None}, DOWNLOAD_USES) == {"gid": "x", "split": "2"}


def test_a_download_inherits_global_options() -> None:
    assert inherit_options({"split": "2"}, {"split": "3", "dir": "/x", "max-overall-download-limit": "1"}) == {
        "split": "2",
        "dir": "/x",
    }


def test_global_header_fields_stay_unless_a_download_has_its_own_of_the_name() -> None:
    inherited = inherit_options({"header": "a: 2\nC: 3"}, {"header": "A: 1\nB: 1\n"})
    assert inherited["header"] == "B: 1\na: 2\nC: 3"
    assert inherit_options({}, {"header": "A: 1"}) == {"header": "A: 1"}


def test_the_error_for_an_option_may_have_a_reason() -> None:
    assert bad_option("out", "no name").message == (
        "We encountered a problem while processing the option '--out'. No name."
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)) | st.text(), VALUES, max_size=5))
def test_options_are_texts_or_an_error_whatever_is_given(given: dict[str, Any]) -> None:
    for uses in (DOWNLOAD_USES, GLOBAL_USES):
        try:
            options = read_options(given, uses)
        except RpcError:
            continue
        assert all(isinstance(text, str) for text in options.values())
        assert read_options(options, uses) == options
