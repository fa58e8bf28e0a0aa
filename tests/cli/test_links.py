"""Links in pasted text, and the importer for a file."""

import pytest

from downloadd.cli.links import find_links, guess_kind
from downloadd.import_operation import ImportKind


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://a.example/x, and http://b.example/y.", ["https://a.example/x", "http://b.example/y"]),
        ("(https://a.example/x_(1)) [http://b.example]", ["https://a.example/x_(1)", "http://b.example"]),
        ('<a href="HTTPS://a.example/?q=1&amp">', ["HTTPS://a.example/?q=1&amp"]),
        ("http://a.example http://a.example", ["http://a.example"]),
        ("ftp://a.example nohttp: httpx://b", []),
        ("http://a.example/).,)!", ["http://a.example/"]),
    ],
)
def test_links_are_found_in_text(text: str, links: list[str]) -> None:
    assert find_links([text]) == links


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("export.zip", b"PK\x03\x04", ImportKind.SLACK),
        ("a.CSV", b"url\nhttp://x", ImportKind.CSV),
        ("a.meta4", b"", ImportKind.METALINK),
        ("a", b"\xef\xbb\xbf<?xml version", ImportKind.METALINK),
        ("a.txt", b"http://x\n", ImportKind.URLS),
        ("a", b"\xff\xfeh\0t\0", ImportKind.URLS),
        ("a.png", b"\x89PNG\0\0", None),
    ],
)
def test_the_importer_depends_on_name_and_first_bytes(name: str, head: bytes, kind: ImportKind | None) -> None:
    assert guess_kind(name, head) is kind
