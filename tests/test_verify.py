import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import ChecksumMismatchError, InvalidParameterError, NetworkError, UnexpectedContentError
from downloadd.verify import (
    ALGORITHMS,
    check_digest,
    check_length,
    check_size_and_type,
    checksum_algorithm,
    format_checksum,
    parse_checksum,
)

EMPTY_SHA256 = hashlib.sha256().hexdigest()
EMPTY_MD5 = hashlib.md5(usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_of_the_api_is_accepted_in_its_normal_form(algorithm: str) -> None:
    checksum = f"{algorithm}={hashlib.new(ALGORITHMS[algorithm], b'x').hexdigest()}"
    assert parse_checksum(checksum) == checksum


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        pytest.param(f"SHA-256={EMPTY_SHA256.upper()}", f"sha-256={EMPTY_SHA256}", id="upper case"),
        pytest.param(f"SHA256={EMPTY_SHA256}", f"sha-256={EMPTY_SHA256}", id="without hyphen"),
        pytest.param(f"sha_256={EMPTY_SHA256}", f"sha-256={EMPTY_SHA256}", id="underscore"),
        pytest.param(f"  md5 = {EMPTY_MD5} \n", f"md5={EMPTY_MD5}", id="blanks"),
    ],
)
def test_upper_case_and_spaces_are_accepted(text: str, normal: str) -> None:
    assert parse_checksum(text) == normal


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "<algorithm>=<hex>", id="empty"),
        pytest.param(EMPTY_SHA256, "<algorithm>=<hex>", id="no algorithm"),
        pytest.param(f"whirlpool={EMPTY_SHA256}", "sha-256, sha-512, sha-384, sha-1, md5", id="unknown algorithm"),
        pytest.param(f"={EMPTY_SHA256}", "sha-256, sha-512, sha-384, sha-1, md5", id="empty algorithm"),
        pytest.param(f"sha-256={EMPTY_SHA256[:-1]}", "64 hex digits", id="one digit short"),
        pytest.param(f"sha-256={EMPTY_SHA256}0", "64 hex digits", id="one digit long"),
        pytest.param(f"md5={'g' * 32}", "32 hex digits", id="not hex"),
        pytest.param(f"md5={'٣' * 32}", "32 hex digits", id="digits of another script"),
        pytest.param(f"md5={EMPTY_MD5[:-2]}=\ud800", "32 hex digits", id="lone surrogate"),
    ],
)
def test_a_malformed_checksum_is_refused_with_the_expected_form(text: str, sentence: str) -> None:
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
def test_any_text_is_accepted_or_refused(text: str) -> None:
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
def test_a_complete_length_is_accepted(received: int, total: int | None) -> None:
    check_length(received, total)


@pytest.mark.parametrize(
    ("received", "total"),
    [pytest.param(6, 7, id="short"), pytest.param(8, 7, id="long"), pytest.param(1, 0, id="longer than nothing")],
)
def test_another_length_is_a_transient_network_error(received: int, total: int) -> None:
    with pytest.raises(NetworkError) as failed:
        check_length(received, total)
    assert failed.value.transient
    assert str(received) in failed.value.detail
    assert str(total) in failed.value.detail


def test_the_expected_digest_is_accepted() -> None:
    check_digest(f"md5={EMPTY_MD5}", f"md5={EMPTY_MD5}")


def test_another_digest_is_a_mismatch_that_names_both() -> None:
    with pytest.raises(ChecksumMismatchError) as failed:
        check_digest("md5=00", "md5=01")
    assert (failed.value.expected, failed.value.actual) == ("md5=00", "md5=01")


@pytest.mark.parametrize(
    ("size", "content_type", "expected_size", "expected_type"),
    [
        pytest.param(7, "image/png", 7, "image/png", id="the file"),
        pytest.param(None, None, 7, "image/png", id="nothing known of the content"),
        pytest.param(7, "text/html", None, None, id="nothing known of the file"),
        pytest.param(7, "application/octet-stream", 7, "image/png", id="a general type"),
        pytest.param(7, "text/html; charset=utf-8", 7, "text/html", id="a page is the file"),
    ],
)
def test_content_that_may_be_the_described_file_is_accepted(
    size: int | None, content_type: str | None, expected_size: int | None, expected_type: str | None
) -> None:
    check_size_and_type(size=size, content_type=content_type, expected_size=expected_size, expected_type=expected_type)


@pytest.mark.parametrize(
    ("size", "content_type", "detail"),
    [
        pytest.param(
            7, "Text/HTML; charset=utf-8", "received a web page (text/html) instead of image/png", id="a page"
        ),
        pytest.param(7, "image/gif", "received image/gif instead of image/png", id="another type"),
        pytest.param(8, "image/png", "received 8 bytes instead of 7", id="another size"),
        pytest.param(0, None, "received 0 bytes instead of 7", id="nothing"),
    ],
)
def test_other_content_is_refused_with_the_difference(size: int, content_type: str | None, detail: str) -> None:
    with pytest.raises(UnexpectedContentError) as refused:
        check_size_and_type(size=size, content_type=content_type, expected_size=7, expected_type="image/png")
    assert refused.value.detail.startswith(detail)
    # Only a page in place of the file says something about the link.
    assert ("token" in refused.value.detail) == (not detail.endswith("bytes instead of 7"))
