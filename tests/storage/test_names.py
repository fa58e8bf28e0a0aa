import unicodedata
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from downloadd.errors import InvalidPathError
from downloadd.storage.names import (
    MAX_DIRECTORY_BYTES,
    MIN_NAME_BYTES,
    SafeName,
    format_part_name,
    numbered_name,
    parse_directory,
    parse_filename,
    parse_part_name,
    relative_to_root,
    sanitize_directory,
    sanitize_name,
    shorten_name,
    split_extension,
    suggest_name,
)

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
PART = f".data.csv.{ID}.3.part"

# All of Unicode, lone surrogates included, with dangerous characters more often.
untrusted_text = st.text(
    st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("./\\ :*\0\n\u202e\u200b\u0338<éÅCON"),
    max_size=400,
)
file_names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1).filter(
    lambda name: name not in {".", ".."} and len(name.encode()) <= 255 and parse_part_name(name) is None
)


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        pytest.param("", "", id="the root"),
        pytest.param("/", "", id="only a slash"),
        pytest.param("Downloads", "Downloads", id="one segment"),
        pytest.param("//a///b/", "a/b", id="slashes to spare"),
        pytest.param("a/api", "a/api", id="api further down"),
        pytest.param("API", "API", id="API in capitals is another path"),
        pytest.param(".hidden/..a/a..", ".hidden/..a/a..", id="dots that are no way up"),
        pytest.param("Téléchargements/下载", "Téléchargements/下载", id="not ASCII"),
        pytest.param("é" * 127 + "a", "é" * 127 + "a", id="255 bytes"),
    ],
)
def test_a_directory_is_accepted(text: str, directory: str) -> None:
    assert parse_directory(text) == directory


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("..", id="way up"),
        pytest.param("a/../../b", id="way up in the middle"),
        pytest.param("a/./b", id="dot"),
        pytest.param("a\0b", id="NUL"),
        pytest.param("a/b\n", id="line feed"),
        pytest.param("a\x7f", id="delete"),
        pytest.param("a\x85", id="control of Latin-1"),
        pytest.param("a\\..\\b", id="backslash"),
        pytest.param("é" * 128, id="256 bytes"),
        pytest.param("/".join(["a" * 200] * 16), id="too long in all"),
        pytest.param("api", id="api"),
        pytest.param(".downloadd/uploads", id="files of the daemon"),
        pytest.param(".DownloadD", id="files of the daemon where case does not matter"),
        pytest.param("//api/v1", id="api behind slashes"),
        pytest.param("a/\ud800", id="lone surrogate"),
        pytest.param("a/\udcff", id="byte that was no UTF-8"),
        pytest.param(PART, id="part file"),
        pytest.param(PART.upper(), id="part file where case is ignored"),
    ],
)
def test_a_directory_is_refused_with_a_printable_message(text: str) -> None:
    with pytest.raises(InvalidPathError) as refused:
        parse_directory(text)
    assert refused.value.detail.isprintable()


@given(untrusted_text)
def test_a_directory_never_leaves_the_root(text: str) -> None:
    try:
        directory = parse_directory(text)
    except InvalidPathError:
        return
    assert parse_directory(directory) == directory
    assert not directory.startswith("/")
    assert len(directory.encode()) <= MAX_DIRECTORY_BYTES
    assert not {".", ".."} & set(directory.split("/"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("renamed-data.csv", id="plain"),
        pytest.param(".bashrc", id="hidden"),
        pytest.param(" a ", id="blanks"),
        pytest.param("CON", id="a device elsewhere"),
        pytest.param("a:b?", id="reserved elsewhere"),
        pytest.param("e\u0301", id="not composed"),
        pytest.param("a" * 255, id="255 bytes"),
        pytest.param(PART + "s", id="almost a part file"),
    ],
)
def test_a_requested_filename_is_not_changed(text: str) -> None:
    assert parse_filename(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="dot"),
        pytest.param("..", id="dots"),
        pytest.param("a/b", id="slash"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("a\0", id="NUL"),
        pytest.param("a\tb", id="tab"),
        pytest.param("a" * 256, id="256 bytes"),
        pytest.param("é" * 128, id="256 bytes in 128 characters"),
        pytest.param("\ud83d", id="half an emoji"),
        pytest.param(PART, id="part file"),
        pytest.param(PART.upper(), id="part file where case is ignored"),
    ],
)
def test_an_invalid_requested_filename_is_refused(text: str) -> None:
    with pytest.raises(InvalidPathError, match="the filename"):
        parse_filename(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("data.csv", "data.csv", id="harmless"),
        pytest.param("../../etc/passwd", "passwd", id="way up"),
        pytest.param("C:\\Windows\\system.ini", "system.ini", id="backslashes"),
        pytest.param("a/..", "download", id="nothing but dots"),
        pytest.param("", "download", id="empty"),
        pytest.param("dir/", "download", id="a directory"),
        pytest.param(" . ", "download", id="dots and blanks"),
        pytest.param(".htaccess", "htaccess", id="leading dot"),
        pytest.param("a.txt. . ", "a.txt", id="trailing dots and blanks"),
        pytest.param("a\0b\r\nc.txt", "abc.txt", id="controls"),
        pytest.param("cod\u202egpj.exe", "codgpj.exe", id="bidi override"),
        pytest.param("a\u2066b\u2069.txt", "ab.txt", id="bidi isolates"),
        pytest.param("\ufeffa\u200bb\u200d.txt", "ab.txt", id="zero width"),
        pytest.param("a\ud800b", "ab", id="lone surrogate"),
        pytest.param('<a>:"b"|?*.txt', "_a___b____.txt", id="reserved characters"),
        pytest.param("CON", "_CON", id="device"),
        pytest.param("nul.tar.gz", "_nul.tar.gz", id="device with extensions"),
        pytest.param("com1 .txt", "_com1 .txt", id="device behind a blank"),
        pytest.param("COM¹", "_COM¹", id="device with a superscript"),
        pytest.param("CONSOLE.txt", "CONSOLE.txt", id="no device"),
        pytest.param("e\u0301.txt", "é.txt", id="composed"),
        pytest.param("a" * 300 + ".txt", "a" * 251 + ".txt", id="the stem is cut"),
        pytest.param("é" * 200 + ".tar.gz", "é" * 124 + ".tar.gz", id="the stem is cut between characters"),
        pytest.param("a." + "b" * 300, "a." + "b" * 253, id="no sane extension"),
        pytest.param(PART, PART[1:], id="part file"),
    ],
)
def test_a_foreign_name_is_made_safe(text: str, name: str) -> None:
    assert sanitize_name(text) == name


@given(untrusted_text)
@example("." * 300)
@example("a" * 254 + " .txt")
@example("<\u0338")
@example("/\u0338a")
@example(" \u0301")
@example("x." + " " * 40 + "\u212a")
def test_every_foreign_name_becomes_one_that_is_safe_everywhere(text: str) -> None:
    name = sanitize_name(text)
    assert parse_filename(name) == name
    assert sanitize_name(name) == name
    assert len(name.encode()) <= 255
    assert unicodedata.is_normalized("NFC", name)
    assert not set('<>:"|?*/\\') & set(name)
    assert name == name.strip(" .")
    assert not {unicodedata.category(character) for character in name} & {"Cc", "Cf", "Cs"}
    assert name.partition(".")[0].rstrip().upper() not in {"CON", "NUL", "AUX", "PRN", "COM1", "LPT9"}


@pytest.mark.parametrize(
    ("requested", "disposition", "last_segment", "name"),
    [
        pytest.param("my.csv", "theirs.csv", "url.csv", "my.csv", id="the user first"),
        pytest.param(".env", None, "", ".env", id="the user exactly"),
        pytest.param(None, "../theirs.csv", "url.csv", "theirs.csv", id="then the origin"),
        pytest.param(None, "..", "url.csv", "url.csv", id="unless it says nothing"),
        pytest.param(None, None, "url.csv", "url.csv", id="then the URL"),
        pytest.param(None, "", "", "download", id="then the fallback"),
    ],
)
def test_the_best_name_known_is_suggested(
    requested: str | None, disposition: str | None, last_segment: str, name: str
) -> None:
    assert suggest_name(requested, disposition, last_segment) == name


@pytest.mark.parametrize(
    ("last", "first", "name"),
    [
        pytest.param("6f1c0a", "app.zip", "app.zip", id="an object of a content network"),
        pytest.param("", "app.tar.gz", "app.tar.gz", id="a directory"),
        pytest.param("other.zip", "app.zip", "other.zip", id="the last has an extension"),
        pytest.param("LICENSE", "README", "LICENSE", id="neither has one"),
        pytest.param("LICENSE", "v1.2", "LICENSE", id="a version is no extension"),
        pytest.param("LICENSE", "get.php", "LICENSE", id="a program that sends files"),
        pytest.param("LICENSE", "get.PHP7", "LICENSE", id="a program in capitals"),
        pytest.param("app-1.2", "app.dmg", "app.dmg", id="the last ends with a version"),
        pytest.param("", "download", "download", id="only the first has a name"),
        pytest.param("..", "../app.zip", "app.zip", id="made safe"),
    ],
)
def test_after_redirects_the_name_with_an_extension_is_suggested(last: str, first: str, name: str) -> None:
    assert suggest_name(None, None, last, first) == name
    assert suggest_name(None, "sent.bin", last, first) == "sent.bin"
    assert suggest_name("mine", "sent.bin", last, first) == "mine"


def test_a_part_name_has_final_name_id_and_epoch() -> None:
    assert format_part_name(parse_filename("data.csv"), ID, 3) == PART
    restarted = format_part_name(parse_filename("data.csv"), ID, 3, 12)
    assert restarted == PART.replace(".3.part", ".3-12.part")
    assert parse_part_name(restarted) == (ID, 3)


@given(file_names, st.uuids().map(str), st.integers(min_value=0, max_value=2**62))
@example("é" * 127, ID, 2**62)
def test_format_then_parse_of_a_part_name_is_the_identity(name: str, download_id: str, epoch: int) -> None:
    formatted = format_part_name(SafeName(name), download_id, epoch)
    assert parse_part_name(formatted) == (download_id, epoch)
    assert len(formatted.encode()) <= 255
    assert name.startswith(formatted[1 : -len(f".{download_id}.{epoch}.part")])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("data.csv", id="a file"),
        pytest.param(PART[1:], id="not hidden"),
        pytest.param(f".{ID}.3.part", id="no final name"),
        pytest.param(PART.upper(), id="capitals"),
        pytest.param(PART.replace(".3.", ".03."), id="epoch with a zero in front"),
        pytest.param(PART.replace(".3.", ".-3."), id="negative epoch"),
        pytest.param(PART.replace(".3.", ".٣."), id="epoch in another script"),
        pytest.param(PART + "\n", id="line feed at the end"),
        pytest.param(f".a/b.{ID}.3.part", id="slash"),
        pytest.param(f".\udcff.{ID}.3.part", id="no UTF-8"),
        pytest.param(".a.not-an-id.3.part", id="no id"),
    ],
)
def test_other_names_are_not_part_names(name: str) -> None:
    assert parse_part_name(name) is None


@pytest.mark.parametrize(
    ("name", "stem", "extension"),
    [
        pytest.param("a.csv", "a", ".csv", id="one"),
        pytest.param("a", "a", "", id="none"),
        pytest.param("a.tar.gz", "a", ".tar.gz", id="tar"),
        pytest.param("linux-6.1.TAR.XZ", "linux-6.1", ".TAR.XZ", id="tar in capitals"),
        pytest.param("dump.sql.zst", "dump", ".sql.zst", id="compressed"),
        pytest.param("v1.2.gz", "v1.2", ".gz", id="a version is no extension"),
        pytest.param(".tar.gz", ".tar", ".gz", id="hidden"),
        pytest.param(".bashrc", ".bashrc", "", id="only a leading dot"),
        pytest.param("a.", "a.", "", id="trailing dot"),
        pytest.param("Dr. Who", "Dr. Who", "", id="a blank"),
        pytest.param("a." + "b" * 32, "a." + "b" * 32, "", id="too long"),
    ],
)
def test_a_name_is_split_before_its_extension(name: str, stem: str, extension: str) -> None:
    assert split_extension(name) == (stem, extension)


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("a//b/", "a/b"),
        ("../../etc", "etc"),
        ("/..\\..\\etc/", "etc"),
        ("a/\0/b\n", "a/b"),
        ("a/" + "b" * 300, "a/" + "b" * 255),
        ("https://h/x", "https_/h/x"),
        ("..", ""),
    ],
)
def test_a_refused_directory_is_made_safe(text: str, directory: str) -> None:
    assert sanitize_directory(text) == directory


@given(st.text() | st.text("./\\ab~\0 ", max_size=5000))
def test_a_directory_that_was_made_safe_can_be_used(text: str) -> None:
    directory = sanitize_directory(text)
    # The directory of the API is safe too, but reserved.
    assert directory.split("/")[0] == "api" or parse_directory(directory) == directory


@pytest.mark.parametrize("text", ["https://h/x", " HTTP:/h", "ftp:\\\\h"])
def test_a_url_is_neither_a_directory_nor_a_name_and_is_not_repeated(text: str) -> None:
    for parse in (parse_directory, parse_filename):
        with pytest.raises(InvalidPathError, match="is a URL") as refused:
            parse(text)
        assert text not in refused.value.detail


@pytest.mark.parametrize(
    ("name", "n", "other"),
    [
        pytest.param("data.csv", 1, "data (1).csv", id="extension"),
        pytest.param("source.tar.gz", 12, "source (12).tar.gz", id="double extension"),
        pytest.param("README", 2, "README (2)", id="no extension"),
        pytest.param(".bashrc", 1, ".bashrc (1)", id="hidden"),
        pytest.param("é" * 127, 1, "é" * 125 + " (1)", id="full length"),
    ],
)
def test_a_numbered_name_keeps_its_extension(name: str, n: int, other: str) -> None:
    assert numbered_name(SafeName(name), n) == other


@given(file_names, st.lists(st.integers(min_value=1, max_value=10**9), min_size=2, max_size=2, unique=True))
def test_numbered_names_are_different_and_can_be_used(name: str, numbers: list[int]) -> None:
    first, second = (numbered_name(SafeName(name), n) for n in numbers)
    assert len({name, first, second}) == 3
    assert parse_filename(first) == first


@given(file_names)
def test_a_safe_name_stays_safe_when_numbered(name: str) -> None:
    other = numbered_name(sanitize_name(name), 7)
    assert sanitize_name(other) == other


def test_the_download_id_is_parsed_from_a_part_name() -> None:
    download_id = str(uuid.uuid4())
    assert parse_part_name(format_part_name(parse_filename("a"), download_id, 1)) == (download_id, 1)


@pytest.mark.parametrize(
    ("name", "shortened"),
    [
        pytest.param("data.csv", "data.csv", id="short enough"),
        pytest.param("a" * 200 + ".tar.gz", "a" * 136 + ".tar.gz", id="the extension stays"),
        pytest.param("é" * 100 + ".bin", "é" * 69 + ".bin", id="between characters"),
        pytest.param("a" * 138 + " b.bin", "a" * 138 + " .bin", id="a blank before the extension"),
        pytest.param("a" * 142 + " " + "b" * 9, "a" * 142, id="no blank at the end"),
    ],
)
def test_a_name_is_shortened_for_the_disk(name: str, shortened: str) -> None:
    assert shorten_name(SafeName(name), 143) == shortened
    assert suggest_name(None, name, "", max_bytes=143) == shortened
    assert suggest_name(None, None, name, max_bytes=143) == shortened


@given(untrusted_text, st.integers(MIN_NAME_BYTES, 255))
@example("CON" + " " * 300 + "x", 143)
@example("⠀" * 100 + "x", 143)
def test_names_fit_on_the_disk(text: str, max_bytes: int) -> None:
    name = sanitize_name(text)
    shortened = shorten_name(name, max_bytes)
    assert len(shortened.encode()) <= max_bytes
    assert sanitize_name(shortened) == shortened
    assert shorten_name(shortened, max_bytes) == shortened
    assert len(numbered_name(name, 10**6, max_bytes=max_bytes).encode()) <= max_bytes
    part = format_part_name(name, ID, 2**63 - 1, max_bytes=max_bytes)
    assert len(part.encode()) <= max_bytes
    assert parse_part_name(part) == (ID, 2**63 - 1)


def test_a_requested_name_that_is_too_long_for_the_disk_is_refused() -> None:
    name = "a" * 144
    with pytest.raises(InvalidPathError, match="has 144 bytes, but the disk takes names of at most 143 bytes"):
        suggest_name(name, "other", "other", max_bytes=143)
    assert suggest_name(name[:143], "other", "other", max_bytes=143) == name[:143]


def test_a_path_below_the_root_is_relative_to_it() -> None:
    paths = {"/r/s": "", "/r/s/": "", "/r//s/a/b/": "a/b", "/r": None, "/r/sa": None, "r/s/a": None, "": None}
    assert {path: relative_to_root(path, "/r/s/") for path in paths} == paths
    assert relative_to_root("/a", "/") == "a"
