"""Reading of lists of URLs."""

import gzip
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.import_files import links, packed, read, reasons, skipped

from downloadd.download import Conflict
from downloadd.import_operation import FileParameters
from downloadd.imports.refusal import ImportRefusedError
from downloadd.request_fields import Credentials, RequestFields


def test_a_list_is_read_as_wget_and_aria2c_read_it() -> None:
    text = (
        "# a comment\n\nhttps://a.example/1\nhttps://a.example/2\thttps://b.example/2\n"
        "  out=two.bin\n\tdir=some/where\n  checksum=sha-256=00\n  slpit=5\n # another comment\nhttps://a.example/3\r\n"
        "nonsense\n  out=lost\n"
    )
    items = read("urls", text.encode())
    assert [(link.url, link.mirrors, link.name, link.directory, link.checksum) for link in links(items)] == [
        ("https://a.example/1", (), "", "", None),
        ("https://a.example/2", ("https://b.example/2",), "two.bin", "some/where", "sha-256=00"),
        ("https://a.example/3", (), "", "", None),
    ]
    assert skipped(items) == [
        "line 8: slpit is not a supported option",
        *(f"line {n}: no URL with its scheme, such as https://" for n in (11, 12)),
    ]
    assert reasons(items) == ["unknown_option", "no_url", "no_url"]


SESSION = """http://127.0.0.1:13129/gone\t
 gid=cec159b43114e620
 max-tries=1
 dir=d
http://127.0.0.1:13129/a\thttp://127.0.0.1:13129/b\t
 gid=44a7ae88b4ae5bcb
 pause=true
 timeout=20
 connect-timeout=7
 max-tries=0
 dir=d
 out=sub/f.bin
 split=3
 referer=*
 lowest-speed-limit=1048576
 max-download-limit=102400
 allow-overwrite=true
 auto-file-renaming=false
 max-connection-per-server=2
 min-split-size=1048576
 retry-wait=3
 checksum=sha-1=0192ba11326fe2298c8cb4de616f4d4140213838
 http-user=u
 http-passwd=p=1
 user-agent=U/1
 header=A: b
 header=Cookie: x=1
 all-proxy=http://p:1/
magnet:?xt=urn:btih:0192ba11326fe2298c8cb4de616f4d4140213838
 gid=8652dd741237be66
 pause=true
 dir=d
"""
"""Session that aria2 1.36 saved for three downloads and a torrent."""


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_session_of_aria2_is_read_with_its_options(compress: Callable[[bytes], bytes]) -> None:
    items = read("urls", compress(SESSION.encode()))
    gone, file = links(items)
    assert (gone.url, gone.directory) == ("http://127.0.0.1:13129/gone", "d")
    assert gone.parameters == FileParameters(gid="cec159b43114e620", max_retries=0)
    assert (file.mirrors, file.directory, file.name) == (("http://127.0.0.1:13129/b",), "d/sub", "f.bin")
    assert file.checksum == "sha-1=0192ba11326fe2298c8cb4de616f4d4140213838"
    assert file.parameters == FileParameters(
        gid="44a7ae88b4ae5bcb",
        segments=2,
        conflict=Conflict.OVERWRITE,
        speed_limit=102_400,
        max_retries=1000,
        retry_wait=3,
        stall_timeout=20,
        connect_timeout=7,
        min_speed=1 << 20,
        paused=True,
    )
    assert file.request_fields == RequestFields(
        headers=(("A", "b"),),
        cookies=(("x", "1"),),
        referer="http://127.0.0.1:13129/a",
        user_agent="U/1",
        auth=Credentials(user="u", password="p=1"),
    )
    split_size, *others = skipped(items)
    assert split_size.startswith("line 20: min-split-size is left out: downloadd chooses the parts of a file")
    assert others == [
        "line 28: all-proxy is left out: proxies are those that the configuration names",
        "line 29: BitTorrent is not supported",
    ]


def test_an_impossible_value_is_reported_with_its_line_and_the_file_is_read() -> None:
    text = "https://a.example/1\n max-tries=3x\n pause=yes\n gid=12\n timeout=-1\n max-download-limit=5G\n split=2\n"
    items = read("urls", text.encode())
    assert [link.parameters for link in links(items)] == [FileParameters(segments=2)]
    assert set(reasons(items)) == {"invalid_option"}
    assert skipped(items) == [
        "line 2: max-tries: expected a number from 0 on",
        "line 3: pause: expected true or false",
        "line 4: gid: expected 16 hexadecimal digits, not all of them 0",
        "line 5: timeout: expected a number from 0 to 86400",
        "line 6: max-download-limit: expected a number of bytes, such as 1048576, 1024K or 1M",
    ]


def test_a_torrent_is_reported_once_with_its_options() -> None:
    items = read("urls", b"magnet:?xt=urn:btih:0\n gid=1\n dir=d\n https://a.example/1\n out=x\nnonsense\n dir=d\n")
    assert [(link.url, link.name) for link in links(items)] == [("https://a.example/1", "x")]
    assert skipped(items) == [
        "line 1: BitTorrent is not supported",
        *(f"line {n}: no URL with its scheme, such as https://" for n in (6, 7)),
    ]


def test_a_list_without_options_has_no_parameters() -> None:
    assert [link.parameters for link in links(read("urls", b"https://a.example/1\n out=x\n pause=false\n"))] == [None]


def test_options_of_aria2_become_request_fields() -> None:
    text = (
        "https://a.example/1\n  header=X-Key: k:1\n  header=Cookie: a=1; b=2\n  referer=https://a.example/\n"
        "  user-agent=Browser/1\n  http-user=ann\n  http-passwd=s=3\n"
        "https://a.example/2#x\n  referer=*\nhttps://a.example/3\n"
    )
    first, second, third = links(read("urls", text.encode()))
    assert first.request_fields == RequestFields(
        headers=(("X-Key", "k:1"),),
        cookies=(("a", "1"), ("b", "2")),
        referer="https://a.example/",
        user_agent="Browser/1",
        auth=Credentials(user="ann", password="s=3"),
    )
    assert second.request_fields == RequestFields(referer="https://a.example/2")
    assert third.request_fields is None


@pytest.mark.parametrize(
    ("option", "detail"),
    [
        ("header=Host: s3cret", "line 1: headers: Host cannot be set: it is taken from the URL"),
        ("header=Bearer s3cret", "line 1: headers: the name of header field number 2 is not one that HTTP can send"),
        ("referer=see s3cret", "line 1: referer: holds a space, a line break or another control character"),
        ("http-user=a:s3cret", "line 1: auth: user may not hold a colon"),
        (
            "\n ".join(f"header=X-{n}: s3cret" for n in range(200)),
            "line 1: headers: expected at most 100 header fields",
        ),
    ],
)
def test_a_request_field_that_cannot_be_sent_is_reported_without_its_value(option: str, detail: str) -> None:
    items = read("urls", f"https://a.example/1\n header=X-A: b\n {option}\n".encode())
    assert [(link.url, link.request_fields) for link in links(items)] == [("https://a.example/1", None)]
    assert reasons(items) == ["invalid_option"]
    [text] = skipped(items)
    assert text.startswith(detail)
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("url", "option", "detail"),
    [
        (
            "https://a.example/1?token=s3cret",
            "referer=*",
            "line 1: referer is not sent: the URL holds a secret, which it would disclose",
        ),
        ("https://a.example/1", "http-passwd=s3cret", "line 1: http-passwd is not sent: http-user is missing"),
    ],
)
def test_an_option_that_is_not_sent_is_reported_and_the_others_are(url: str, option: str, detail: str) -> None:
    items = read("urls", f"{url}\n header=X-A: b\n {option}\n".encode())
    assert [link.request_fields for link in links(items)] == [RequestFields(headers=(("X-A", "b"),))]
    assert (reasons(items), skipped(items)) == (["invalid_option"], [detail])


def test_a_url_of_another_scheme_beside_others_is_reported() -> None:
    text = f"ftp://b.example/1\thttps://a.example/1\ta title\thttp://c.example/{'x' * 20_000}\thttp://d.example/1\n"
    items = read("urls", text.encode())
    assert [(link.url, link.mirrors) for link in links(items)] == [("https://a.example/1", ("http://d.example/1",))]
    assert reasons(items) == ["unsupported_url", "too_long"]
    assert skipped(items) == [
        "line 1: 2 URLs are of a kind other than http and https (ftp, no scheme); the others are used",
        "line 1: one URL is longer than 16384 bytes; the others are used",
    ]


def test_a_file_that_has_only_urls_of_other_schemes_stays_and_fails_when_it_is_downloaded() -> None:
    items = read("urls", b"ftp://a.example/1\tftp://b.example/1\n")
    assert [(link.url, link.mirrors) for link in links(items)] == [("ftp://a.example/1", ("ftp://b.example/1",))]
    assert reasons(items) == []


def test_an_indented_url_is_a_url() -> None:
    items = read("urls", b"https://a.example/1\n  https://a.example/?a=2\n\tHTTPS://a.example/3\n   out=three\n")
    assert [(link.url, link.name, link.line) for link in links(items)] == [
        ("https://a.example/1", "", 1),
        ("https://a.example/?a=2", "", 2),
        ("HTTPS://a.example/3", "three", 3),
    ]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ("out=b.bin", ("", "b.bin")),
        ("out=a/b.bin", ("a", "b.bin")),
        ("dir=x\n out=a/b.bin", ("x/a", "b.bin")),
        ("out=../b.bin", ("..", "b.bin")),
    ],
)
def test_out_may_have_a_directory(options: str, place: tuple[str, str]) -> None:
    [link] = links(read("urls", f"https://a.example/1\n {options}\n".encode()))
    assert (link.directory, link.name) == place


def test_an_option_that_may_hold_a_secret_is_not_quoted() -> None:
    items = read("urls", b"https://a.example/1\n  ann:s3cret@h.example\n  load-cookies=s3cret\n")
    assert skipped(items) == [
        "line 2: the line is not a supported option",
        "line 3: load-cookies is not a supported option",
    ]


def test_urls_that_are_too_many_are_reported() -> None:
    items = read("urls", "\t".join(f"https://a.example/{n}" for n in range(20)).encode())
    assert len(links(items)[0].mirrors) == 15
    assert skipped(items) == ["line 1: of 20 URLs, the first 16 are used"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_a_list_is_read_in_any_unicode_encoding(encoding: str) -> None:
    assert [link.url for link in links(read("urls", "https://a.example/\u00e4\n".encode(encoding)))] == [
        "https://a.example/\u00e4"
    ]


def test_a_line_that_is_too_long_is_skipped() -> None:
    items = read("urls", b"http://a.example/" + b"x" * 600_000 + b"\nhttps://a.example/1\n")
    assert [link.url for link in links(items)] == ["https://a.example/1"]
    assert skipped(items) == ["the line is longer than 524288 characters"]


@pytest.mark.parametrize("line", ["ann:s3cret@h.example/x", "//ann:s3cret@h.example/x", "h.example/x?token=s3cret"])
@pytest.mark.parametrize("key", ["urls", "csv"])
def test_a_line_without_a_scheme_is_not_quoted(key: str, line: str) -> None:
    items = read(key, f"url\n{line}\nhttp://a.example/\n".encode())
    assert skipped(items)
    assert "s3cret" not in str(items)


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\0\1\2", b"nonsense\n"])
def test_a_list_without_urls_is_refused(data: bytes) -> None:
    with pytest.raises(ImportRefusedError):
        read("urls", data)


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(st.text(max_size=12) | st.sampled_from(["http://a/", "url", '"', "\n"]), max_size=4)),
    separator=st.sampled_from(",;\t\n\r"),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252"]),
)
def test_a_list_or_table_with_any_text_is_read_or_refused(rows: list[list[str]], separator: str, encoding: str) -> None:
    data = "\n".join(separator.join(row) for row in rows).encode(encoding, "replace")
    for key, start in (
        ("csv", b""),
        ("csv", b"url,filename\n"),
        ("urls", b""),
        ("urls", b"http://a/\n"),
    ):
        with suppress(ImportRefusedError):
            read(key, start + data)
    for name in ("users.csv", "channels.csv", "general/1.csv"):
        with suppress(ImportRefusedError):
            read("csv", packed({"users.csv": "", name: data}))
