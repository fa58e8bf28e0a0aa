"""Lists of checksums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.imports.checksum_format import file_name_of, is_checksum_list, parse_checksum_list, place_of

SHA256, MD5, SHA512 = "ab" * 32, "cd" * 16, "ef" * 64


def entries_of(name: str, *lines: str) -> list[tuple[str, str]]:
    return parse_checksum_list(name, lines).entries


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("SHA256SUMS", "MD5SUMS", "sha512sum.txt", "ubuntu-SHA256SUMS", "a.iso.sha256")),
        *((name, True) for name in ("a.md5", "a.SHA1", "SHA256SUM", "x.sha384")),
        *((name, False) for name in ("a.iso", "SHA256SUMS.gpg", "sums", "sha256", ".sha256", "md5", "")),
    ],
)
def test_a_list_is_recognized_by_its_name(name: str, expected: bool) -> None:
    assert is_checksum_list(name) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{SHA256}  a.iso", ("a.iso", f"sha-256={SHA256}")),
        (f"{SHA256.upper()} *a.iso", ("a.iso", f"sha-256={SHA256}")),
        (f"{MD5}  ./d/with space.bin", ("d/with space.bin", f"md5={MD5}")),
        (f"\\{MD5}  a\\\\b", ("a\\b", f"md5={MD5}")),
        (f"SHA512 (a (1).iso) = {SHA512}", ("a (1).iso", f"sha-512={SHA512}")),
        (f"SHA2-256(a)= {SHA256}", ("a", f"sha-256={SHA256}")),
        (f"SHA2-512/256 (a) = {SHA256}", None),
        (f"MD5 (a) = {SHA256}", None),
        (SHA256, ("a.iso", f"sha-256={SHA256}")),
        ("# a comment", None),
        ("abc  a.iso", None),
        ("", None),
    ],
)
def test_a_line_is_read(line: str, expected: tuple[str, str] | None) -> None:
    assert entries_of("a.iso.sha256", f"{line}\r\n") == ([] if expected is None else [expected])


def test_digits_alone_need_a_name() -> None:
    assert entries_of("SHA256SUMS", SHA256) == []


@pytest.mark.parametrize("path", ["dist/a.iso", "/home/ci/a.iso", "dist\\a.iso"])
def test_the_only_line_of_the_list_of_one_file_may_have_another_directory(path: str) -> None:
    entries = [(path, f"sha-256={SHA256}"), ("a.iso", f"sha-256={SHA256}")]
    line = f"{SHA256}  {path}\n"
    assert entries_of("a.iso.sha256", line) == entries
    assert entries_of("b.iso.sha256", line) == entries[:1]
    assert entries_of("SHA256SUMS", line) == entries[:1]
    assert entries_of("a.iso.sha256", line, line) == entries[:1] * 2


def test_lines_without_a_checksum_are_counted() -> None:
    lines = ["# a comment", "", f"{SHA256}  a.iso", "RMD160 (a.iso) = 00", "abc  b.iso", SHA256]
    found = parse_checksum_list("SHA256SUMS", lines)
    assert (found.entries, found.unread, found.first_unread) == ([("a.iso", f"sha-256={SHA256}")], 3, 4)


def test_the_signature_of_a_list_is_not_counted() -> None:
    text = f"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

{SHA256}  a.iso
-----BEGIN PGP SIGNATURE-----
Version: 1

iQIzBAEBCgAdFiEEyFtlGtdUsM0vR4zAVUJ4FyY=
=yf4G
-----END PGP SIGNATURE-----
{SHA256}  b.iso
nonsense
"""
    found = parse_checksum_list("SHA256SUMS.asc", text.splitlines())
    assert [path for path, _ in found.entries] == ["a.iso", "b.iso"]
    assert (found.unread, found.first_unread) == (1, 12)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parse_checksum_list("SHA256SUMS", [text])


@pytest.mark.parametrize(("url", "name"), [("https://h/d/a%20b?token=1", "a b"), ("https://[h/a", "")])
def test_the_name_of_a_file_is_in_its_url(url: str, name: str) -> None:
    assert file_name_of(url) == name


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://h/d/a%20b?token=1", ("https://h/d/", "a b")),
        ("https://h/a", ("https://h/", "a")),
        ("HTTPS://ann:pw@EXAMPLE.com:443/a", ("https://example.com/", "a")),
        ("http://h:443/a", ("http://h:443/", "a")),
        ("https://[h/a", ("", "")),
    ],
)
def test_the_place_of_a_url_is_its_directory_and_name(url: str, place: tuple[str, str]) -> None:
    assert place_of(url) == place
