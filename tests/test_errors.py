import inspect

import pytest

from downloadd import errors
from downloadd.errors import ERRORS, DownloadError, ErrorCode, NetworkError, RemoteError

EXCEPTIONS = [
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


def test_every_code_has_exactly_one_row() -> None:
    assert set(ERRORS) == set(ErrorCode)
    assert all(row.code is code for code, row in ERRORS.items())


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_row_says_what_happened_and_what_to_do(code: ErrorCode) -> None:
    row = ERRORS[code]
    assert 400 <= row.status <= 599
    assert row.title
    assert row.description
    assert row.resolution


@pytest.mark.parametrize("code", list(SPECIFIED_ROWS))
def test_the_words_of_the_specification_are_kept(code: ErrorCode) -> None:
    row = ERRORS[code]
    assert (row.status, row.title, row.description) == SPECIFIED_ROWS[code]


def test_no_two_exception_types_share_a_code_but_one_that_is_a_case_of_the_other() -> None:
    codes = [kind.code for kind in EXCEPTIONS if kind.__mro__[1] is DownloadError]
    assert len(codes) == len(set(codes))
    for kind in EXCEPTIONS:
        parent = kind.__mro__[1]
        assert issubclass(parent, DownloadError)
        assert parent is DownloadError or kind.code is parent.code


def test_every_code_but_that_of_the_launch_flag_has_an_exception_type() -> None:
    assert {kind.code for kind in EXCEPTIONS} >= set(ErrorCode) - {ErrorCode.DOWNLOAD_FORBIDDEN}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_answers_that_may_pass_are_transient(status: int) -> None:
    assert RemoteError(status).transient


@pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 451, 501, 505, 511])
def test_other_answers_are_not(status: int) -> None:
    assert not RemoteError(status).transient


def test_a_network_error_is_transient_unless_its_cause_lasts() -> None:
    assert NetworkError("reset").transient
    assert not NetworkError("certificate expired", permanent=True).transient
