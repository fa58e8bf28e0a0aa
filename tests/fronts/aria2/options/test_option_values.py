"""Values of options: each kind with values that aria2 1.36 takes and refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.aria2.options.option_values import (
    Normalize,
    any_text,
    boolean,
    checksum,
    format_boolean,
    number,
    one_of,
    size,
)

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("normalize", "text", "canonical"),
    [
        (boolean, "true", "true"),
        (boolean, "false", "false"),
        (boolean, "", "true"),
        (number(1, 16), " 5", "5"),
        (number(1, 16), "5 ", "5"),
        (number(1, 16), "+5", "5"),
        (number(1, 16), "05", "5"),
        (number(1, 16), "16", "16"),
        (number(0), "100000", "100000"),
        (size(), "0", "0"),
        (size(), "1k", "1024"),
        (size(), "1m", "1048576"),
        (size(), "1KB", "1024"),
        *((size(), "1KiB", "1024"), (size(), "1 K", "1024")),
        (size(), " 100K", "102400"),
        (size(1 << 20), "1M", "1048576"),
        (one_of("a", "b"), "b", "b"),
        (any_text, "", ""),
        (checksum, f"MD5={MD5.upper()}", f"md5={MD5}"),
        (checksum, f"sha-1={'0' * 40}", f"sha-1={'0' * 40}"),
    ],
)
def test_a_value_has_a_canonical_text(normalize: Normalize, text: str, canonical: str) -> None:
    assert normalize(text) == canonical


@pytest.mark.parametrize(
    ("normalize", "text"),
    [
        (boolean, "TRUE"),
        (boolean, "1"),
        (boolean, "yes"),
        (number(1, 16), "0"),
        (number(1, 16), "17"),
        (number(1, 16), "5.0"),
        (number(1, 16), "1K"),
        (number(1, 16), ""),
        (number(1, 16), "٣"),
        (number(0), "1" * 30),
        (size(), "1G"),
        (size(), "1.5K"),
        (size(), "-1"),
        (size(), ""),
        (size(), "K"),
        (size(), "abc"),
        (size(), "9" * 19 + "M"),
        (size(1 << 20), "1K"),
        (size(1 << 20, 1 << 30), "1025M"),
        (one_of("a", "b"), "c"),
        (checksum, ""),
        (checksum, "foo=1"),
        (checksum, "sha-1=1"),
        (checksum, "adler32=00000000"),
    ],
)
def test_an_impossible_value_is_refused(normalize: Normalize, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalize(text)


def test_a_boolean_has_a_text() -> None:
    assert (format_boolean(True), format_boolean(False)) == ("true", "false")


@given(st.sampled_from([boolean, number(0, 5), size(), one_of("x"), checksum]), st.text())
def test_a_canonical_text_stays_as_it_is(normalize: Normalize, text: str) -> None:
    try:
        canonical = normalize(text)
    except ValueError:
        return
    assert normalize(canonical) == canonical
