"""The table of errors: a class for each code, which carries its row."""

import inspect
import sys
from collections import Counter

import msgspec
import pytest

from downloadd import errors
from downloadd.errors import (
    ERRORS,
    ORIGIN_ERRORS,
    DownloadError,
    ErrorCode,
    InvalidUrlError,
    Occasion,
    StorageRootMissingError,
    codes_at,
)

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DownloadError) and kind is not DownloadError
]

SPECIFIED_ROWS = {
    ErrorCode.INVALID_URL: (400, "Invalid URL", "The provided URL is malformed or invalid"),
    ErrorCode.DOMAIN_BLOCKED: (
        403,
        "Domain not allowed",
        "This domain is blocked by server's download domain restrictions",
    ),
    ErrorCode.DOWNLOAD_TIMEOUT: (504, "Download timeout", "Download exceeded the configured timeout period"),
    ErrorCode.NETWORK_ERROR: (
        502,
        "Network error",
        "Failed to connect to remote server or download was interrupted",
    ),
    ErrorCode.DOWNLOAD_FORBIDDEN: (
        403,
        "Download operation not allowed",
        "Server is not configured to allow downloading from URLs",
    ),
}


def test_each_code_has_exactly_one_class() -> None:
    counts = Counter(kind.code for kind in CLASSES if kind.__mro__[1] is DownloadError)
    assert dict(counts) == dict.fromkeys(ErrorCode, 1)
    assert {code: kind.code for code, kind in ERRORS.items()} == {code: code for code in ErrorCode}


def test_a_class_without_a_code_is_a_case_of_its_base() -> None:
    cases = [kind for kind in CLASSES if kind not in ERRORS.values()]
    assert StorageRootMissingError in cases
    for kind in cases:
        assert issubclass(kind, ERRORS[kind.code])


def test_every_class_of_the_package_is_exported() -> None:
    modules = [module for name, module in sys.modules.items() if name.startswith("downloadd.errors.")]
    defined = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, DownloadError)
    }
    assert defined == {*CLASSES, DownloadError}


def test_the_codes_are_members_of_an_enumeration_that_decodes() -> None:
    assert InvalidUrlError.code is ErrorCode.INVALID_URL
    assert msgspec.json.decode(b'"INVALID_URL"', type=ErrorCode) is ErrorCode.INVALID_URL
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'"UNKNOWN"', type=ErrorCode)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_row_has_a_status_sentences_and_advice(code: ErrorCode) -> None:
    row = ERRORS[code]
    assert 400 <= row.status <= 599
    for text in (row.title, row.description, row.resolution):
        assert text[0].isupper()
        assert not text.endswith(".")
    assert row.advice.endswith(".")
    assert (row.__doc__ or "").splitlines()[0].endswith(".")


@pytest.mark.parametrize("code", list(SPECIFIED_ROWS))
def test_the_words_of_the_specification_are_kept(code: ErrorCode) -> None:
    row = ERRORS[code]
    assert (row.status, row.title, row.description) == SPECIFIED_ROWS[code]


@pytest.mark.parametrize("occasion", list(Occasion))
def test_every_occasion_has_the_codes_that_name_it(occasion: Occasion) -> None:
    codes = codes_at(occasion)
    assert codes
    assert codes == tuple(code for code, kind in ERRORS.items() if occasion in kind.occasions)


def test_errors_that_a_mirror_can_avoid_are_those_of_one_source() -> None:
    assert {kind.code for kind in ORIGIN_ERRORS} == {
        "INVALID_URL",
        "DOMAIN_BLOCKED",
        "REMOTE_FILE_NOT_FOUND",
        "NETWORK_ERROR",
        "REMOTE_ERROR",
        "TOO_MANY_REDIRECTS",
    }


def test_every_error_that_sends_retry_after_is_listed_here() -> None:
    assert {code for code, kind in ERRORS.items() if kind.sends_retry_after} == {
        "QUEUE_FULL",
        "REMOTE_ERROR",
        "SHUTTING_DOWN",
        "STORE_UNAVAILABLE",
        "TOO_MANY_FAILED_LOGINS",
    }
