from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.charsets import decode_labelled, decode_strictly, find_codec


@pytest.mark.parametrize(
    ("octets", "label", "text"),
    [
        (b"\xc3\xa4", "UTF-8", "ä"),
        (b"\xc3\xa4", "utf8", "ä"),
        (b"\xc3\xa4", "Utf_8", "ä"),
        (b"\xe4", "iso-8859-1", "ä"),
        (b"\xe4", "ISO88591", "ä"),
        (b"\xe4", "latin1", "ä"),
        (b"\xb1", "iso-8859-2", "ą"),
        (b"\xa4", "ISO-8859-15", "€"),
        (b"\x80\x93", "us-ascii", "€“"),
        (b"\x81", "windows-1252", "\x81"),
        (b"\xef\xf0\xe8", "windows-1251", "при"),
        (b"\xd2\xd2", "koi8-r", "рр"),
        (b"\xce\xc4", "GB2312", "文"),
        (b"\xe9F", "gb2312", "镕"),
        (b"\x93\xfa", "Shift_JIS", "日"),
        (b"\x87\x40", "shift-jis", "①"),
        (b"\xbf\xb9", "ks_c_5601-1987", "예"),
        (b"\xbf\xb9", "ksc5601", "예"),
        (b"\xa4\xa4", "Big5", "中"),
    ],
)
def test_octets_are_decoded_in_the_labelled_charset(octets: bytes, label: str, text: str) -> None:
    assert decode_labelled(octets, label) == text


@pytest.mark.parametrize("label", ["", "-", "koi9", "\0", "utf-8\n;x" * 9, "ÜTF", "u" * 1000])
def test_an_unknown_charset_is_not_decoded(label: str) -> None:
    assert find_codec(label) is None
    assert decode_labelled(b"a", label) is None


@pytest.mark.parametrize(
    "label",
    [
        *("base64", "base64_codec", "bz2", "hex", "quopri", "rot13", "uu", "zlib", "zip", "punycode", "idna", "utf-7"),
        *("unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "charmap"),
    ],
)
def test_a_codec_that_is_not_a_charset_is_unknown(label: str) -> None:
    assert find_codec(label) is None


@pytest.mark.parametrize(
    ("octets", "label"), [(b"\xe4", "utf-8"), (b"\x81", "gbk"), (b"\0", "utf-16"), (b"\xff", "cp1253")]
)
def test_octets_that_are_not_text_in_their_charset_are_not_decoded(octets: bytes, label: str) -> None:
    assert decode_labelled(octets, label) is None


@given(st.binary(max_size=40), st.sampled_from(sorted({*aliases, *aliases.values()})) | st.text(max_size=20))
def test_foreign_octets_and_labels_never_crash(octets: bytes, label: str) -> None:
    text = decode_labelled(octets, label)
    assert text is None or text.encode().decode() == text


def test_text_with_lone_surrogates_is_refused() -> None:
    assert decode_strictly(b"+2AA-", "utf-7") is None
