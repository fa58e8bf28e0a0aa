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
    ChecksumMismatchError,
    DownloadError,
    DownloadTimeoutError,
    ErrorCode,
    InsufficientStorageError,
    InvalidParameterError,
    InvalidUrlError,
    MethodNotAllowedError,
    NetworkError,
    Occasion,
    QueueFullError,
    RemoteError,
    ShuttingDownError,
    StartupError,
    StorageError,
    StorageRootMissingError,
    StoreUnavailableError,
    TooManyFailedLoginsError,
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


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_transient(status: int) -> None:
    assert RemoteError(status).transient


@pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 451, 501, 505, 511])
def test_every_other_status_is_permanent_unless_declared_transient(status: int) -> None:
    assert not RemoteError(status).transient
    assert RemoteError(status, transient=True).transient


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (NetworkError("reset"), True),
        (NetworkError("certificate expired", permanent=True), False),
        (InsufficientStorageError("full"), True),
        (InsufficientStorageError("quota", permanent=True), False),
        (StorageError("read-only"), False),
        (StorageError("removed", transient=True), True),
        (StorageRootMissingError("gone"), True),
        (StoreUnavailableError("locked"), True),
        (InvalidUrlError("x"), False),
    ],
)
def test_an_error_is_transient_if_its_cause_may_pass(error: DownloadError, transient: bool) -> None:
    assert error.transient is transient


@pytest.mark.parametrize(
    "error",
    [QueueFullError(5, retry_after=3), ShuttingDownError(), StoreUnavailableError("x"), TooManyFailedLoginsError(9)],
)
def test_an_error_that_sends_retry_after_has_seconds(error: DownloadError) -> None:
    assert error.retry_after is not None
    assert error.sends_retry_after


def test_every_error_that_sends_retry_after_is_tried_above() -> None:
    assert {code for code, kind in ERRORS.items() if kind.sends_retry_after} == {
        "QUEUE_FULL",
        "SHUTTING_DOWN",
        "STORE_UNAVAILABLE",
        "TOO_MANY_FAILED_LOGINS",
    }


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (InvalidParameterError("limit", "expected a number"), "limit: expected a number"),
        (RemoteError(418), "the origin answered 418"),
        (RemoteError(418, "a teapot"), "the origin answered 418: a teapot"),
        (DownloadTimeoutError(1.5), "the download did not finish within its timeout of 1.5 s"),
        (ChecksumMismatchError("md5=0", "md5=1"), "expected md5=0, received md5=1"),
        (
            ChecksumMismatchError("md5=0", "md5=1", source="Repr-Digest"),
            "the origin's Repr-Digest says md5=0, received md5=1",
        ),
        (MethodNotAllowedError("PUT", ("GET", "POST")), "PUT is not allowed here; use GET or POST"),
    ],
)
def test_the_detail_states_the_facts_of_the_case(error: DownloadError, detail: str) -> None:
    assert error.detail == str(error) == detail


def test_a_mistake_in_the_configuration_has_an_exit_status_of_its_own() -> None:
    assert StartupError("x").exit_status == 1
    assert StartupError("x", exit_status=2).exit_status == 2
    assert StartupError("x").exit_status == 1
