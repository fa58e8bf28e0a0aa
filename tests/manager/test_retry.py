import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import (
    ChecksumMismatchError,
    DownloadError,
    InsufficientStorageError,
    NetworkError,
    RemoteError,
    RemoteFileNotFoundError,
    StorageRootMissingError,
)
from downloadd.manager.retry import (
    INITIAL_STORAGE_DELAY_SECONDS,
    MAX_DELAY_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    Abort,
    Retry,
    decide,
)


def decided(
    error: DownloadError,
    *,
    failures: int = 0,
    retries: int = 5,
    progressed: bool = False,
    excused: bool = False,
    time_left: float | None = None,
    random: float = 0.0,
) -> Retry | Abort:
    return decide(
        error,
        failures=failures,
        retries=retries,
        progressed=progressed,
        excused=excused,
        time_left=time_left,
        random=random,
    )


@pytest.mark.parametrize(
    "error",
    [NetworkError("reset"), *(RemoteError(status) for status in (408, 429, 500, 502, 503, 504))],
    ids=lambda error: error.detail,
)
def test_a_transient_failure_is_retried(error: DownloadError) -> None:
    assert isinstance(decided(error), Retry)


@pytest.mark.parametrize(
    "error",
    [
        RemoteFileNotFoundError(404),
        RemoteError(401),
        RemoteError(418),
        RemoteError(501),
        NetworkError("certificate", permanent=True),
        ChecksumMismatchError("md5=0", "md5=1"),
    ],
    ids=lambda error: error.detail,
)
def test_a_permanent_failure_is_not_retried(error: DownloadError) -> None:
    assert isinstance(decided(error), Abort)


@pytest.mark.parametrize(("failures", "retries", "expected"), [(0, 0, Abort), (4, 5, Retry), (5, 5, Abort)])
def test_a_download_fails_after_max_retries(failures: int, retries: int, expected: type) -> None:
    assert isinstance(decided(NetworkError("x"), failures=failures, retries=retries), expected)


def test_an_attempt_that_had_to_wait_for_the_records_is_not_counted() -> None:
    decision = decided(NetworkError("x"), failures=5, retries=5, excused=True)
    assert isinstance(decision, Retry)
    assert decision.failures == 5


def test_an_attempt_with_new_bytes_resets_the_count() -> None:
    decision = decided(NetworkError("x"), failures=5, retries=5, progressed=True)
    assert isinstance(decision, Retry)
    assert decision.failures == 1


def test_backoff_doubles_with_each_attempt() -> None:
    delays = []
    for failures in range(4):
        decision = decided(NetworkError("x"), failures=failures)
        assert isinstance(decision, Retry)
        delays.append(decision.delay)
    assert delays == [0.25, 0.5, 1.0, 2.0]


@given(failures=st.integers(0, 1000), random=st.floats(0, 1, exclude_max=True))
def test_the_delay_is_bounded_and_jittered(failures: int, random: float) -> None:
    decision = decided(NetworkError("x"), failures=failures, retries=2000, random=random)
    assert isinstance(decision, Retry)
    assert 0.25 <= decision.delay <= MAX_DELAY_SECONDS


def test_retry_after_is_respected_and_holds_for_the_host() -> None:
    decision = decided(RemoteError(503, retry_after=120))
    assert isinstance(decision, Retry)
    assert decision.delay == 120
    assert decision.host_backoff


def test_without_retry_after_other_downloads_of_the_host_continue() -> None:
    decision = decided(RemoteError(503))
    assert isinstance(decision, Retry)
    assert not decision.host_backoff


def test_a_very_long_retry_after_is_limited() -> None:
    decision = decided(RemoteError(429, retry_after=1e12))
    assert isinstance(decision, Retry)
    assert decision.delay == MAX_RETRY_AFTER_SECONDS


def test_retry_after_holds_for_the_host_if_the_download_is_not_retried() -> None:
    error = RemoteError(503, retry_after=120)
    assert decided(error, time_left=60) == Abort(failures=1, host_backoff=120)
    assert decided(error, failures=5, retries=5) == Abort(failures=6, host_backoff=120)
    assert decided(RemoteError(503), retries=0) == Abort(failures=1, host_backoff=None)
    assert decided(RemoteError(401, retry_after=120)) == Abort(failures=1, host_backoff=None)


def test_a_retry_after_the_timeout_is_not_scheduled() -> None:
    assert isinstance(decided(RemoteError(503, retry_after=120), time_left=119), Abort)
    assert isinstance(decided(RemoteError(503, retry_after=120), time_left=121), Retry)


def test_free_space_is_waited_for_longer_unless_the_file_can_never_fit() -> None:
    decision = decided(InsufficientStorageError("full"))
    assert isinstance(decision, Retry)
    assert decision.delay == INITIAL_STORAGE_DELAY_SECONDS / 2
    assert isinstance(decided(InsufficientStorageError("too small", permanent=True)), Abort)
    assert isinstance(decided(InsufficientStorageError("full"), time_left=INITIAL_STORAGE_DELAY_SECONDS / 2), Abort)


@pytest.mark.parametrize("failures", [0, 5])
def test_a_missing_storage_costs_no_retry(failures: int) -> None:
    decision = decided(StorageRootMissingError("gone"), failures=failures, retries=failures)
    assert isinstance(decision, Retry)
    assert decision.failures == failures
