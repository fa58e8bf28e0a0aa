import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import ChecksumMismatchError, InvalidParameterError, NetworkError
from downloadd.verify import ALGORITHMS, check_digest, check_length, checksum_algorithm, format_checksum, parse_checksum

EMPTY_SHA256 = hashlib.sha256().hexdigest()
EMPTY_MD5 = hashlib.md5(usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_of_the_api_is_taken_in_its_normal_form(algorithm: str) -> None:
    checksum = f"{algorithm}={hashlib.new(ALGORITHMS[algorithm], b'x').hexdigest()}"
    assert parse_checksum(checksum) == checksum


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        pytest.param(f"SHA-256={EMPTY_SHA256.upper()}", f"sha-256={EMPTY_SHA256}", id="upper case"),
        pytest.param(f"  md5 = {EMPTY_MD5} \n", f"md5={EMPTY_MD5}", id="blanks"),
    ],
)
def test_spelling_is_forgiven(text: str, normal: str) -> None:
    assert parse_checksum(text) == normal


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "<algorithm>=<hex>", id="empty"),
        pytest.param(EMPTY_SHA256, "<algorithm>=<hex>", id="no algorithm"),
        pytest.param(f"sha256={EMPTY_SHA256}", "sha-256, sha-512, sha-1, md5", id="unknown algorithm"),
        pytest.param(f"={EMPTY_SHA256}", "sha-256, sha-512, sha-1, md5", id="empty algorithm"),
        pytest.param(f"sha-256={EMPTY_SHA256[:-1]}", "64 hex digits", id="one digit short"),
        pytest.param(f"sha-256={EMPTY_SHA256}0", "64 hex digits", id="one digit long"),
        pytest.param(f"md5={'g' * 32}", "32 hex digits", id="not hex"),
        pytest.param(f"md5={'٣' * 32}", "32 hex digits", id="digits of another script"),
        pytest.param(f"md5={EMPTY_MD5[:-2]}=\ud800", "32 hex digits", id="lone surrogate"),
    ],
)
def test_a_wrong_checksum_is_refused_with_what_to_do(text: str, sentence: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        parse_checksum(text)
    assert refused.value.name == "checksum"
    assert sentence in refused.value.detail


@given(st.sampled_from(sorted(ALGORITHMS)), st.binary())
def test_format_then_parse_is_the_identity(algorithm: str, content: bytes) -> None:
    checksum = format_checksum(algorithm, hashlib.new(ALGORITHMS[algorithm], content).hexdigest())
    assert parse_checksum(checksum) == checksum
    assert checksum_algorithm(checksum) == algorithm


@given(st.text() | st.text(alphabet=string.hexdigits + "=-shamd", max_size=80))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        checksum = parse_checksum(text)
    except InvalidParameterError:
        return
    assert parse_checksum(checksum) == checksum


@pytest.mark.parametrize(
    ("received", "total"),
    [
        pytest.param(0, 0, id="nothing of nothing"),
        pytest.param(7, 7, id="all"),
        pytest.param(7, None, id="length unknown"),
    ],
)
def test_a_whole_length_is_accepted(received: int, total: int | None) -> None:
    check_length(received, total)


@pytest.mark.parametrize(
    ("received", "total"),
    [pytest.param(6, 7, id="short"), pytest.param(8, 7, id="long"), pytest.param(1, 0, id="longer than nothing")],
)
def test_another_length_is_a_network_error_that_may_be_retried(received: int, total: int) -> None:
    with pytest.raises(NetworkError) as failed:
        check_length(received, total)
    assert failed.value.transient
    assert str(received) in failed.value.detail
    assert str(total) in failed.value.detail


def test_the_digest_asked_for_is_accepted() -> None:
    check_digest(f"md5={EMPTY_MD5}", f"md5={EMPTY_MD5}")


def test_another_digest_is_a_mismatch_that_names_both() -> None:
    with pytest.raises(ChecksumMismatchError) as failed:
        check_digest("md5=00", "md5=01")
    assert (failed.value.expected, failed.value.actual) == ("md5=00", "md5=01")
