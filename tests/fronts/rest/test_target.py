"""Request targets and queries, byte for byte."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import InvalidPathError
from downloadd.fronts.rest.target import (
    decode_directory,
    decode_form,
    decode_percent,
    make_next_link,
    parse_query,
    parse_target,
)


@pytest.mark.parametrize(
    ("text", "path", "query"),
    [
        pytest.param("/a?b=c", "/a", "b=c", id="origin-form"),
        pytest.param("/a?b?c", "/a", "b?c", id="second-question-mark"),
        pytest.param("/a?b#c", "/a", "b#c", id="hash-is-nothing-special"),
        pytest.param("/a://b?c", "/a://b", "c", id="url-in-the-path"),
        pytest.param("http://h:1/a?b", "/a", "b", id="absolute-form"),
        pytest.param("http://h", "/", "", id="absolute-form-without-path"),
        pytest.param("http://h?b=/c", "/", "b=/c", id="absolute-form-with-query-alone"),
        pytest.param("*", "*", "", id="asterisk-form"),
        pytest.param("", "", "", id="empty"),
    ],
)
def test_a_target_is_split_without_being_changed(text: str, path: str, query: str) -> None:
    target = parse_target(text)
    assert (target.path, target.query.raw) == (path, query)


@pytest.mark.parametrize(
    ("text", "authority"),
    [("http://h:1/a?b", "h:1"), ("http://u@h?b", "u@h"), ("http:///a", ""), ("/a://b?c", None), ("*", None)],
)
def test_only_a_target_in_absolute_form_has_an_authority(text: str, authority: str | None) -> None:
    assert parse_target(text).authority == parse_target(text, "/base").authority == authority


def test_a_query_keeps_raw_values_and_decodes_names() -> None:
    query = parse_query("a=1%2B+&&b&%63=x=y&a=2&")
    assert query.values == {"a": "1%2B+", "b": "", "c": "x=y"}
    assert query.repeated == {"a": ["2"]}


@pytest.mark.parametrize(
    ("text", "value", "others"),
    [
        pytest.param("download=&download=a", "a", [], id="marker-first"),
        pytest.param("download=a&download", "a", [], id="marker-last"),
        pytest.param("download=&download=a&download=&download=b", "a", ["b"], id="markers-between-mirrors"),
        pytest.param("download=&d%6Fwnload=a", "a", [], id="spelled-another-way"),
        pytest.param("download=&download=", "", [], id="markers-alone"),
        pytest.param("download=", "", [], id="one-alone"),
    ],
)
def test_an_empty_selector_beside_others_is_a_marker(text: str, value: str, others: list[str]) -> None:
    query = parse_query(text)
    assert query.selectors == ("download",)
    assert (query.values, query.repeated) == ({"download": value}, {"download": others} if others else {})


def test_an_empty_value_of_another_name_is_a_value() -> None:
    query = parse_query("downloads&limit=&limit=1")
    assert (query.values, query.repeated) == ({"downloads": "", "limit": ""}, {"limit": ["1"]})


def test_selectors_are_found_in_a_fixed_order() -> None:
    assert parse_query("download_history&x&download=a").selectors == ("download", "download_history")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_decoding_undoes_encoding(text: str) -> None:
    assert decode_percent(quote(text, safe="")) == text
    assert decode_form(quote_plus(text)) == text


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    target = parse_target(text)
    link = make_next_link(target, "1")
    assert link.isascii()
    assert link.count(">") == link.count("<") == 1
    decode_percent(text, errors="replace").encode()
    for name in target.query.values:
        name.encode()


@pytest.mark.parametrize("path", ["/%ff", "/%ED%A0%80", "/\udcff", "/a%C3"])
def test_a_directory_that_is_not_utf_8_is_refused(path: str) -> None:
    with pytest.raises(InvalidPathError):
        decode_directory(path)


def test_a_link_replaces_the_cursor_and_keeps_everything_else() -> None:
    target = parse_target('/a b/"?x=%2B&cursor=7&y=<z>&%63ursor=8')
    assert make_next_link(target, "9") == '</a%20b/%22?x=%2B&y=%3Cz%3E&cursor=9>; rel="next"'
