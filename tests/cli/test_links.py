"""Links in pasted text."""

import pytest

from downloadd.cli.links import find_links


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
