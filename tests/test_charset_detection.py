import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.charset_detection import MAX_JUDGED_CHARACTERS, decode_unlabelled


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        *(
            ("cp1252", name)
            for name in ("café.png", "Übersicht.pdf", "ÉTÉ.pdf", "10°C.txt", "“x”.txt", "l’été", "É", "aÿ")
        ),
        *(("gbk", name) for name in ("中文.txt", "测试文件.zip", "《红楼梦》.txt", "繁體中文.txt", "版本2说明.pdf")),
        *(("cp932", name) for name in ("日本語.txt", "テスト.txt", "さくら", "表.txt", "第１章.txt")),
        *(("cp1251", name) for name in ("Привет.txt", "документ.doc", "Файл 1 и 2.zip", "МОСКВА 2020.zip", "Ёлка.jpg")),
        *(("cp1253", name) for name in ("αρχείο.txt", "Ελλάδα.doc", "μουσική.mp3", "Έκθεση.pdf")),
        *(("cp1250", name) for name in ("Příliš žluťoučký.txt", "Zażółć gęślą jaźń.pdf", "Łódź.zip")),
        *(("cp1254", name) for name in ("değişiklik.txt", "Şubat raporu.doc")),
        *(("cp1256", name) for name in ("كتاب.pdf", "صورة جديدة.jpg")),
    ],
)
def test_the_charset_of_a_name_is_guessed(charset: str, name: str) -> None:
    assert decode_unlabelled(name.encode(charset)) == name


@given(st.text())
def test_utf_8_is_never_guessed_otherwise(text: str) -> None:
    assert decode_unlabelled(text.encode()) == text


def test_a_word_in_latin_letters_does_not_contain_a_chinese_character() -> None:
    assert decode_unlabelled("książka.pdf".encode("cp1250")) == "książka.pdf"


def test_octets_that_are_plausible_nowhere_are_kept_one_by_one() -> None:
    assert decode_unlabelled(b"\x81\xe2\xa1") == "\x81â¡"


@given(st.binary(max_size=60))
def test_any_octets_give_a_text_that_has_utf_8_and_always_the_same_one(octets: bytes) -> None:
    text = decode_unlabelled(octets)
    assert text.encode().decode() == text
    assert decode_unlabelled(octets) == text
    assert bool(text) == bool(octets)


def test_the_end_of_a_long_text_is_decoded_too() -> None:
    text = "中文" * MAX_JUDGED_CHARACTERS
    assert decode_unlabelled(text.encode("gbk")) == text
