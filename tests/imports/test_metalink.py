"""Reading of Metalinks."""

from contextlib import suppress
from xml.sax.saxutils import escape, quoteattr

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.import_files import METALINK, links, read, reasons, skipped

from downloadd.import_operation import SkippedEntry
from downloadd.imports import metalink
from downloadd.imports.refusal import ImportRefusedError

SHA_256 = "sha-256=f0ad929cd259957e160ea442eb80986b5f01a1b4f0ad929cd259957e160ea442"


def test_a_metalink_is_read_with_its_mirrors_by_priority() -> None:
    items = read("metalink", METALINK.encode())
    first, second = links(items)
    assert first.url == "http://a.example/example.ext?a=1&b=2"
    assert first.mirrors == ("https://b.example/example.ext", "http://d.example/example.ext")
    assert (first.directory, first.name, first.size) == ("dir", "example.ext", 14471447)
    assert first.checksum == SHA_256
    assert (second.name, second.directory, second.checksum) == ("plain", "", None)
    assert reasons(items) == ["unsupported_url", "invalid_name", "invalid_name", "no_url"]
    assert [item.detail for item in items if isinstance(item, SkippedEntry) and item.reason.endswith("_url")] == [
        "'dir/example.ext': 2 URLs are of a kind other than http and https (ftp, torrent); the others are used",
        "'nowhere' has no URL that can be used: one URL is of a kind other than http and https (ftp)",
    ]


def test_a_file_without_a_name_is_reported_as_such() -> None:
    file = "<file name='a'><url>http://h/1</url></file><file><url>http://h/2</url></file>"
    items = read("metalink", f"<metalink xmlns='{metalink.NAMESPACE}'>{file}</metalink>".encode())
    assert [link.name for link in links(items)] == ["a"]
    assert (reasons(items), skipped(items)) == (["invalid_name"], ["file 2 of the Metalink has no name"])


VERSION_3 = """<metalink version="3.0" xmlns="http://www.metalinker.org/">
  <files><file name="d/example.ext">
    <size>7</size>
    <verification>
      <hash type="sha1">80bc95fd391772fa61c91ed68567f0980bb45fd9</hash>
      <pieces length="1" type="sha1"><hash piece="0">aa</hash></pieces>
    </verification>
    <resources>
      <url type="http" preference="10">http://a.example/1</url>
      <url type="https" location="de" preference="90">https://b.example/1</url>
      <url type="ftp" preference="100">ftp://c.example/1</url>
      <url type="bittorrent" preference="95">http://d.example/1.torrent</url>
      <url type="http">http://d.example/1</url>
    </resources>
  </file></files>
</metalink>"""


def test_a_metalink_of_version_3_is_read() -> None:
    items = read("metalink", VERSION_3.encode())
    [link] = links(items)
    assert skipped(items) == [
        "'d/example.ext': 2 URLs are of a kind other than http and https (ftp, bittorrent); the others are used"
    ]
    assert [link.url, *link.mirrors] == ["https://b.example/1", "http://a.example/1", "http://d.example/1"]
    assert (link.directory, link.name, link.size) == ("d", "example.ext", 7)
    assert link.checksum == "sha-1=80bc95fd391772fa61c91ed68567f0980bb45fd9"


@pytest.mark.parametrize("name", ["sha-256", "SHA256", "sha256", "Sha_256"])
def test_a_hash_may_have_any_spelling_of_its_name(name: str) -> None:
    [link, _] = links(read("metalink", METALINK.replace("sha-256", name).encode()))
    assert link.checksum == SHA_256


def test_the_strongest_hash_is_used() -> None:
    text = METALINK.replace('<hash type="sha-256">', f'<hash type="sha-384">{"A" * 96}</hash><hash type="sha-256">')
    assert links(read("metalink", text.encode()))[0].checksum == f"sha-384={'a' * 96}"


def test_a_file_whose_hashes_are_all_unknown_is_reported() -> None:
    text = METALINK.replace("sha-256", "whirlpool").replace("sha-1", "crc32")
    items = read("metalink", text.encode())
    assert links(items)[0].checksum is None
    assert "unknown_checksum" in reasons(items)


def test_the_scheme_of_a_url_may_have_upper_case() -> None:
    items = read("metalink", METALINK.replace("http://a.example/5", "HTTP://a.example/5").encode())
    assert links(items)[1].url == "HTTP://a.example/5"


def test_the_mirrors_with_the_best_priorities_are_used() -> None:
    urls = "".join(f'<url priority="{n}">http://m{n}.example/</url>' for n in range(1000, 0, -1))
    long = f"<url>http://long.example/{'x' * 20_000}</url>"
    text = f'<metalink xmlns="{metalink.NAMESPACE}"><file name="a">{long}{urls}</file></metalink>'
    items = read("metalink", text.encode())
    [link] = links(items)
    assert [link.url, *link.mirrors] == [f"http://m{n}.example/" for n in range(1, 17)]
    assert [(item.reason, item.entry, item.detail) for item in items if isinstance(item, SkippedEntry)] == [
        ("too_long", "a", "'a': one URL is longer than 16384 bytes; the others are used"),
        ("too_many_mirrors", "a", "'a': of 1000 URLs, the 16 with the best priorities are used"),
    ]


@pytest.mark.parametrize(
    ("urls", "problem"),
    [
        ("", ""),
        (f"<url>http://h/{'x' * 20_000}</url>", ": one URL is longer than 16384 bytes"),
        (
            "<url>magnet:?xt=1</url><url>h/1</url>",
            ": 2 URLs are of a kind other than http and https (magnet, no scheme)",
        ),
    ],
)
def test_a_file_without_a_usable_url_is_reported_with_the_reason(urls: str, problem: str) -> None:
    files = f'<file name="a">{urls}</file><file name="b"><url>http://h/b</url></file>'
    items = read("metalink", f'<metalink xmlns="{metalink.NAMESPACE}">{files}</metalink>'.encode())
    assert (reasons(items), skipped(items)) == (["no_url"], [f"'a' has no URL that can be used{problem}"])
    assert [link.name for link in links(items)] == ["b"]


def test_a_url_of_the_longest_length_is_used() -> None:
    url = f"http://h/{'x' * (16 * 1024 - 9)}"
    text = f'<metalink xmlns="{metalink.NAMESPACE}"><file name="a"><url> {url}\n</url></file></metalink>'
    items = read("metalink", text.encode())
    assert ([link.url for link in links(items)], reasons(items)) == ([url], [])


def test_sixteen_urls_are_all_used() -> None:
    urls = "".join(f"<url>http://m{n}.example/</url>" for n in range(16))
    items = read("metalink", f'<metalink xmlns="{metalink.NAMESPACE}"><file name="a">{urls}</file></metalink>'.encode())
    assert (len(links(items)[0].mirrors), reasons(items)) == (15, [])


@pytest.mark.parametrize(
    ("hashes", "checksum", "expected"),
    [
        ([("sha-256", "abc"), ("md5", "0" * 32)], f"md5={'0' * 32}", ["malformed"]),
        ([("sha-512", "x" * 128), ("sha-256", "A" * 64), ("sha-1", "")], f"sha-256={'a' * 64}", ["malformed"] * 2),
        ([("whirlpool", "abc"), ("md5", "0" * 32)], f"md5={'0' * 32}", []),
        ([("sha-256", "abc"), ("whirlpool", "abc")], None, ["invalid_name"]),
    ],
)
def test_the_strongest_valid_hash_is_used(
    hashes: list[tuple[str, str]], checksum: str | None, expected: list[str]
) -> None:
    elements = "".join(f'<hash type="{name}">{digest}</hash>' for name, digest in hashes)
    file = f'<file name="d/a">{elements}<url>http://a.example/1</url></file><file name="b"><url>http://b/</url></file>'
    items = read("metalink", f'<metalink xmlns="{metalink.NAMESPACE}">{file}</metalink>'.encode())
    assert [link.checksum for link in links(items)] == ([checksum] if checksum else []) + [None]
    found = [item for item in items if isinstance(item, SkippedEntry)]
    assert [(item.reason, item.entry) for item in found] == [(reason, "d/a") for reason in expected]
    assert all("hex digits" in item.detail for item in found)


def test_a_metalink_may_be_long_and_name_many_files() -> None:
    files = "".join(f'<file name="{n}"><url>http://a.example/{n}</url></file>' for n in range(20_000))
    text = f'<metalink xmlns="{metalink.NAMESPACE}"><!--{"x" * 100_000}-->{files}</metalink>'
    assert len(links(read("metalink", text.encode()))) == 20_000


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y">]><metalink/>', "document type"),
        ('<!DOCTYPE a SYSTEM "http://a.example/x.dtd"><metalink/>', "document type"),
        ("<metalink/>", "not a Metalink"),
        ("<html></html>", "not a Metalink"),
        (METALINK[:300], "not XML"),
        ("", "not XML"),
        ('<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', "names no file"),
    ],
)
def test_a_file_that_is_not_a_metalink_is_refused(data: str, sentence: str) -> None:
    with pytest.raises(ImportRefusedError, match=sentence):
        read("metalink", data.encode())


@settings(max_examples=60)
@given(data=st.data())
def test_a_metalink_with_any_texts_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.text(max_size=30).map(quoteattr))
    for spot in ('"dir/example.ext"', '"2"', '"sha-1"', '"UTF-8"', '"urn:ietf:params:xml:ns:metalink"'):
        with suppress(ImportRefusedError):
            read("metalink", METALINK.replace(spot, text, 1).encode("utf-8", "replace"))
    for spot in ("14471447", "80bc95fd391772fa61c91ed68567f0980bb45fd9", "http://a.example/5"):
        with suppress(ImportRefusedError):
            read("metalink", METALINK.replace(spot, escape(text), 1).encode("utf-8", "replace"))


@settings(max_examples=60)
@given(data=st.data())
def test_a_metalink_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    changed = bytearray(METALINK.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    with suppress(ImportRefusedError):
        for item in read("metalink", bytes(changed)):
            msgspec.json.encode(item)


@pytest.mark.parametrize(
    "start",
    [
        '<?xml version="1.0" encoding="utf-7"?>',
        '<?xml version="1.0" encoding="big5"?>',
        '<?xml version="1.0" encoding="x"?>',
    ],
)
def test_a_metalink_in_an_unknown_encoding_is_refused(start: str) -> None:
    with pytest.raises(ImportRefusedError, match="encoding"):
        read("metalink", (start + METALINK.partition("?>")[2]).encode())


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "\u0663", "1_0", ""])
def test_a_metalink_with_odd_numbers_is_read(number: str) -> None:
    text = METALINK.replace('priority="1"', f'priority="{number}"').replace("14471447", number)
    items = read("metalink", text.encode())
    first, _ = links(items)
    assert first.size is None
    problem = next(item for item in items if isinstance(item, SkippedEntry))
    assert (problem.reason, problem.entry) == ("malformed", "dir/example.ext")
    assert first.url.startswith("https://b.example")
