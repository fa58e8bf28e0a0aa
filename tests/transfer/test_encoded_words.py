import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.encoded_words import decode_encoded_words, has_encoded_word


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        pytest.param("=?ISO-8859-1?Q?a?=", "a", id="RFC 2047, 8: one"),
        pytest.param("=?ISO-8859-1?Q?a?= b", "a b", id="RFC 2047, 8: with text"),
        pytest.param("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab", id="RFC 2047, 8: the blank between is omitted"),
        pytest.param("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab", id="RFC 2047, 8: the blanks between are omitted"),
        pytest.param("=?ISO-8859-1?Q?a_b?=", "a b", id="RFC 2047, 8: an encoded blank"),
        pytest.param("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b", id="RFC 2047, 8: two charsets"),
        pytest.param("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore", id="RFC 2231, 5: language"),
        pytest.param("=?utf-8?B?w6Q?=", "ä", id="no padding"),
        pytest.param("=?utf-8?b?w6Q=?=.txt", "ä.txt", id="text behind"),
        pytest.param("x =?utf-8?q?=C3=A4?=", "x ä", id="text before"),
        pytest.param("=?utf-8?q?=C3?= =?UTF-8?B?pA==?=", "ä", id="a divided character"),
        pytest.param("=?utf-8?Q?50%_=C3=A4?=", "50% ä", id="percent sign"),
        pytest.param("=?utf-8?Q?a b?=", "a b", id="raw blank"),
        pytest.param("=?utf-8?Q?a?= =?", "a =?", id="text that looks like a beginning"),
        pytest.param("=?utf-8?Q?a?=ä", "aä", id="text that is not ASCII"),
    ],
)
def test_encoded_words_are_decoded(text: str, decoded: str) -> None:
    assert has_encoded_word(text)
    assert decode_encoded_words(text) == decoded


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("=?utf-8?Q?a?", id="no end"),
        pytest.param("=?utf-8?Q?a", id="no end at all"),
        pytest.param("=?utf-8?Q?=G1?=", id="no hexadecimal digits"),
        pytest.param("=?utf-8?Q?=C3?=", id="half a character"),
        pytest.param("=?utf-8?Q?ä?=", id="not ASCII"),
        pytest.param("=?utf-8?B?a?=", id="one digit of base64"),
        pytest.param("=?utf-8?B?=?=", id="padding alone"),
        pytest.param("=?utf-8?B?aa=a?=", id="padding inside"),
        pytest.param("=?koi9?Q?a?=", id="unknown charset"),
        pytest.param("=?utf-8?Q?a?= =?utf-8?Q?b?", id="the second without an end"),
        pytest.param("=?utf-8?Q?a?==", id="a sign too many"),
    ],
)
def test_a_malformed_word_is_not_decoded(text: str) -> None:
    assert has_encoded_word(text)
    assert decode_encoded_words(text) is None


@pytest.mark.parametrize("text", ["", "plan.pdf", "what=?.pdf", "=?a?X?b?=", "=??Q?b?="])
def test_other_text_has_no_encoded_word(text: str) -> None:
    assert not has_encoded_word(text)


PIECES = st.sampled_from(["=?", "utf-8", "gbk", "?", "Q", "B", "?=", "=", "=C3=A4", "w6Q=", " ", "_", "é", "*en"])


@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=40))
def test_foreign_text_never_crashes(text: str) -> None:
    decoded = decode_encoded_words(text)
    assert decoded is None or decoded.encode().decode() == decoded


@pytest.mark.parametrize(
    "piece", ["=?", "=?a?Q?", "=?utf-8?Q?a?= ", "=?utf-8?B?", "?=", "=?utf-8*", "=?utf-8?Q?=C3?= "]
)
def test_a_long_text_is_decoded_in_linear_time(piece: str) -> None:
    decode_encoded_words(piece * 50_000)
