import pytest

from downloadd.errors.base import DownloadError
from downloadd.errors.daemon import (
    DownloadForbiddenError,
    InternalError,
    QueueFullError,
    ShuttingDownError,
    StartupError,
    StoreUnavailableError,
)


@pytest.mark.parametrize(
    ("error", "status", "retry_after", "transient"),
    [
        (DownloadForbiddenError(), 403, None, False),
        (QueueFullError(5), 429, 30, False),
        (StoreUnavailableError("locked"), 503, StoreUnavailableError.RETRY_AFTER, True),
        (ShuttingDownError(), 503, 5, False),
        (InternalError(), 500, None, False),
    ],
)
def test_a_client_receives_the_time_of_the_next_try(
    error: DownloadError, status: int, retry_after: float | None, transient: bool
) -> None:
    assert (error.status, error.retry_after, error.transient) == (status, retry_after, transient)
    assert error.sends_retry_after is (retry_after is not None)


def test_a_full_queue_names_its_limit_and_the_setting() -> None:
    assert QueueFullError(5).detail == "the limit of 5 waiting downloads is reached (downloads.max_queued)"


def test_a_startup_error_has_an_exit_status_of_its_own() -> None:
    assert StartupError("x").message == str(StartupError("x")) == "x"
    assert StartupError("x", exit_status=2).exit_status == 2
    assert StartupError("x").exit_status == 1
    assert not isinstance(StartupError("x"), DownloadError)
