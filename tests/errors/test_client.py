import pytest

from downloadd.errors.base import DownloadError, Occasion
from downloadd.errors.client import (
    BodyTooLargeError,
    BodyTooSlowError,
    CrossSiteError,
    HostNotAllowedError,
    HttpVersionNotSupportedError,
    MethodNotAllowedError,
    TooManyFailedLoginsError,
)


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (MethodNotAllowedError("PUT", ("GET", "POST")), 405, "PUT is not allowed here; use GET or POST"),
        (BodyTooLargeError(1024), 413, "the body is larger than 1024 bytes"),
        (
            BodyTooSlowError(60, 1024),
            408,
            "the body did not arrive within 60 s and one second more for every 1024 bytes",
        ),
        (CrossSiteError("Origin is a"), 403, "a page of another web site sent this request: Origin is a"),
        (HostNotAllowedError("x is not a name of this server"), 421, "Host: x is not a name of this server"),
        (HostNotAllowedError("x is not", field="X-Forwarded-Host"), 421, "X-Forwarded-Host: x is not"),
        (TooManyFailedLoginsError(9), 429, "too many requests with wrong credentials came from this address"),
        (HttpVersionNotSupportedError("2.0"), 505, "HTTP/2.0 is not supported here; use HTTP/1.1"),
    ],
)
def test_the_detail_states_the_facts(error: DownloadError, status: int, detail: str) -> None:
    assert (error.status, error.detail) == (status, detail)
    assert not error.transient


def test_the_facts_are_kept_for_the_fields_of_the_response() -> None:
    assert MethodNotAllowedError("PUT", ("GET",)).allowed == ("GET",)
    assert TooManyFailedLoginsError(9).retry_after == 9
    assert TooManyFailedLoginsError.sends_retry_after


def test_a_slow_body_is_reported_of_imports_too_and_a_large_one_is_not() -> None:
    assert Occasion.IMPORT in BodyTooSlowError.occasions
    assert Occasion.IMPORT not in BodyTooLargeError.occasions
