import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import InvalidParameterError
from downloadd.media_types import (
    describe_expected,
    describe_type,
    is_stated_type,
    matches_type,
    page_warning,
    parse_expected_type,
    parse_media_type,
)


@pytest.mark.parametrize(
    ("text", "media_type"),
    [("Text/HTML; charset=utf-8", "text/html"), (" a/b ", "a/b"), ("", ""), (None, ""), ("ä/b", ""), ("a\0/b", "")],
)
def test_a_media_type_is_parsed(text: str | None, media_type: str) -> None:
    assert parse_media_type(text) == media_type


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Image/PNG", "image/png"), ("image/*", "image/*"), ("*/*", "*/*"), ("FILE", "file"), ("a/b+c; q=1", "a/b+c")],
)
def test_an_expected_type_is_parsed(text: str, expected: str) -> None:
    assert parse_expected_type(text) == expected


@pytest.mark.parametrize(
    "text", ["", "image", "image/", "/png", "*/png", "a/b/c", "a/b c", "ä/b", f"a/{'b' * 300}", "a;/b"]
)
def test_an_invalid_expected_type_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="type"):
        parse_expected_type(text)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ("image/png", "image/png"),
        ("image/png", "image/*"),
        ("image/png", "*/*"),
        ("image/png", "file"),
        ("", "image/png"),
        ("", "file"),
        ("application/octet-stream", "application/zip"),
        ("binary/octet-stream", "image/*"),
        ("application/x-gzip", "application/gzip"),
        ("application/x-zip-compressed", "application/zip"),
        ("image/jpg", "image/jpeg"),
        ("text/html", "text/html"),
        ("text/html", "text/*"),
        ("text/html", "*/*"),
    ],
)
def test_a_type_matches(received: str, expected: str) -> None:
    assert matches_type(received, expected)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ("image/gif", "image/png"),
        ("image/png", "video/*"),
        ("imagery/png", "image/*"),
        ("text/html", "file"),
        ("application/xhtml+xml", "file"),
        ("text/html", "application/zip"),
        ("application/json", "image/*"),
    ],
)
def test_another_type_does_not_match(received: str, expected: str) -> None:
    assert not matches_type(received, expected)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_parsed_type_matches_itself_and_its_range(kind: str, subtype: str) -> None:
    try:
        expected = parse_expected_type(f"{kind}/{subtype}")
    except InvalidParameterError:
        return
    assert "*" in expected or matches_type(expected, expected)
    assert matches_type(expected, f"{expected.partition('/')[0]}/*")


def test_types_are_described_in_words() -> None:
    assert [describe_type(each) for each in ("text/html", "image/png", "")] == [
        "a web page (text/html)",
        "image/png",
        "content without a type",
    ]
    assert [describe_expected(each) for each in ("file", "image/*")] == ["a file", "image/*"]


@pytest.mark.parametrize(
    ("names", "content_type", "extension"),
    [
        (["a.zip"], "text/html; charset=utf-8", "zip"),
        (["a.tar.GZ"], "application/xhtml+xml", "gz"),
        (["x", "photo.JPEG"], "TEXT/HTML", "jpeg"),
        (["a.html", "a.iso"], "text/html", "iso"),
        (["a.mp4"], "text/html", "mp4"),
        (["a.mp3"], "text/html", "mp3"),
        (["a.pdf"], "text/html", "pdf"),
        (["a.deb"], "text/html", "deb"),
    ],
)
def test_a_web_page_in_place_of_a_file_gives_a_warning(names: list[str], content_type: str, extension: str) -> None:
    media_type = parse_media_type(content_type)
    assert page_warning(names, content_type) == (
        f"the origin sent a web page ({media_type}) in place of a .{extension} file; it may be a login or error page"
    )


@pytest.mark.parametrize(
    ("names", "content_type"),
    [
        ([], "text/html"),
        (["a"], "text/html"),
        (["zip"], "text/html"),
        (["a.html"], "text/html"),
        (["a.php"], "text/html"),
        (["a.zip.html"], "text/html"),
        (["a.zip"], None),
        (["a.zip"], "application/zip"),
        (["a.zip"], "text/plain"),
    ],
)
def test_other_content_gives_no_warning(names: list[str], content_type: str | None) -> None:
    assert page_warning(names, content_type) is None


@pytest.mark.parametrize(
    ("received", "wanted", "is_stated"),
    [
        ("image/jpg", "image/jpeg", True),
        ("image/png", "image/*", True),
        ("image/png", "*/*", True),
        ("text/html", "file", False),
        ("", "*/*", False),
        ("application/octet-stream", "image/*", False),
        ("application/octet-stream", "application/octet-stream", True),
    ],
)
def test_a_type_that_says_nothing_is_no_stated_type(received: str, wanted: str, is_stated: bool) -> None:
    assert is_stated_type(received, wanted) == is_stated
