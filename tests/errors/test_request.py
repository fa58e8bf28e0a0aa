import pytest

from downloadd.errors.base import DownloadError, Occasion
from downloadd.errors.request import (
    CancelledByUserError,
    DomainBlockedError,
    IdempotencyKeyReusedError,
    InvalidParameterError,
    InvalidPathError,
    InvalidStateError,
    InvalidUrlError,
    NotFoundError,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidUrlError("x"), 400),
        (DomainBlockedError("x"), 403),
        (InvalidParameterError("limit", "x"), 400),
        (InvalidPathError("x"), 400),
        (NotFoundError("x"), 404),
        (InvalidStateError("x"), 409),
        (IdempotencyKeyReusedError(), 422),
        (CancelledByUserError(), 409),
    ],
)
def test_a_wrong_request_is_permanent_and_the_fault_of_the_client(error: DownloadError, status: int) -> None:
    assert error.status == status
    assert 400 <= status < 500
    assert not error.transient
    assert error.retry_after is None


def test_an_invalid_parameter_is_named_first() -> None:
    error = InvalidParameterError("limit", "expected a number")
    assert (error.name, error.detail) == ("limit", "limit: expected a number")


def test_a_source_that_the_policy_forbids_leaves_its_mirrors_to_be_tried() -> None:
    assert InvalidUrlError.concerns_source
    assert DomainBlockedError.concerns_source


def test_every_operation_can_report_an_invalid_parameter() -> None:
    assert {Occasion.QUERY, Occasion.START, Occasion.READ, Occasion.ACTION, Occasion.IMPORT} <= (
        InvalidParameterError.occasions
    )
