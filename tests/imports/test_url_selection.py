"""Selection of the URLs of one file."""

import pytest

from downloadd.import_operation import SkipReason
from downloadd.imports.url_selection import UrlSelection
from downloadd.policy.url import MAX_URL_BYTES, parse_url


def test_urls_that_can_be_used_have_no_problem() -> None:
    selection = UrlSelection()
    assert all(selection.accept(url) for url in ("http://h/", "HTTPS://h/"))
    assert list(selection.problems()) == []


def test_other_urls_are_counted_with_their_kinds_and_not_quoted() -> None:
    selection = UrlSelection()
    for url in ("ftp://ann:s3cret@h/", "FTP://h/", "ann:s3cret@h/", "//h/s3cret"):
        assert not selection.accept(url)
    assert not selection.accept("http://h/x.torrent", kind="torrent" * 100)
    [(reason, problem)] = selection.problems()
    assert reason is SkipReason.UNSUPPORTED_URL
    assert problem.startswith("5 URLs are of a kind other than http and https (ftp, no scheme, torrenttorrent")
    assert "s3cret" not in problem
    assert len(problem) < 200


@pytest.mark.parametrize("character", ["x", "\u00e4"])
def test_a_url_is_too_long_where_a_download_refuses_it(character: str) -> None:
    url = "http://h/"
    url += character * ((MAX_URL_BYTES - len(url)) // len(character.encode()))
    selection = UrlSelection()
    assert selection.accept(url)
    assert not selection.accept(f"{url}xx")
    assert list(selection.problems()) == [(SkipReason.TOO_LONG, f"one URL is longer than {MAX_URL_BYTES} bytes")]
    if character == "x":
        parse_url(url)


def test_the_kinds_that_are_named_are_limited() -> None:
    selection = UrlSelection()
    for number in range(1000):
        selection.accept(f"s{number}://h/")
    [(_, problem)] = selection.problems()
    assert problem == "1000 URLs are of a kind other than http and https (s0, s1, s2, s3, s4, s5, s6, s7)"
