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
    StorageAwayError,
    StorageRootMissingError,
)
from downloadd.manager.retry import (
    INITIAL_DELAY_SECONDS,
    INITIAL_STORAGE_DELAY_SECONDS,
    MAX_DELAY_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    MAX_STORAGE_RETRIES,
    Abort,
    Retry,
    TimeSpent,
    decide,
    time_left,
)


def decided(
    error: DownloadError,
    *,
    failures: int = 0,
    retries: int = 5,
    progressed: bool = False,
    is_counted: bool = True,
    pause: float = 0.0,
    wait: float = 0.0,
    seconds_left: float | None = None,
    random: float = 0.0,
) -> Retry | Abort:
    return decide(
        error,
        failures=failures,
        retries=retries,
        progressed=progressed,
        is_counted=is_counted,
        pause=pause,
        wait=wait,
        time_left=seconds_left,
        random=random,
    )


@pytest.mark.parametrize(
    "error",
    [NetworkError("reset"), *(RemoteError(status) for status in (408, 429, 500, 502, 503, 504))],
    ids=lambda error: error.detail,
)
def test_a_transient_failure_is_retried(error: DownloadError) -> None:
    assert isinstance(decided(error), Retry)


def test_a_download_may_ask_for_a_longer_wait_than_the_backoff() -> None:
    assert decided(NetworkError("reset"), wait=90) == Retry(delay=90, failures=1)
    assert decided(NetworkError("reset"), wait=0.01) == decided(NetworkError("reset"))
    assert isinstance(decided(NetworkError("reset"), wait=90, seconds_left=80), Abort)


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


def test_an_attempt_that_is_not_counted_never_ends_the_download_by_its_number() -> None:
    decision = decided(NetworkError("x"), failures=5, retries=5, is_counted=False)
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


def test_retry_after_is_respected() -> None:
    decision = decided(RemoteError(503, retry_after=120))
    assert isinstance(decision, Retry)
    assert decision.delay == 120


def test_a_download_whose_host_failed_waits_until_shortly_after_the_next_probe() -> None:
    for random in (0.0, 0.9):
        decision = decided(NetworkError("refused"), failures=3, is_counted=False, pause=20, random=random)
        assert decision == Retry(delay=20 + 0.5 * random, failures=3)
    assert decided(NetworkError("refused"), failures=3, is_counted=False) == Retry(delay=0.25, failures=3)


@pytest.mark.parametrize(
    ("spent", "timeout", "retry_for", "left"),
    [
        (TimeSpent(timed=4, retrying=100), 10, 0, 6),
        (TimeSpent(timed=None, retrying=100), 10, 0, None),
        (TimeSpent(timed=4, retrying=100), 0, 0, None),
        (TimeSpent(timed=4, retrying=100), 0, 1000, 900),
        (TimeSpent(timed=4, retrying=100), 10, 1000, 6),
        # A host that has never answered ends it by the wall time; one that has, by `retry_for` alone.
        (TimeSpent(timed=4, retrying=0, host_failing=7), 10, 0, 3),
        (TimeSpent(timed=None, retrying=0, host_failing=700), 10, 1000, 300),
        (TimeSpent(timed=None, retrying=0, host_failing=700), 10, 0, None),
    ],
)
def test_a_download_ends_by_its_timeout_or_by_retry_for(
    spent: TimeSpent, timeout: float, retry_for: float, left: float | None
) -> None:
    assert time_left(spent, timeout=timeout, retry_for=retry_for) == left


def test_a_very_long_retry_after_is_limited() -> None:
    decision = decided(RemoteError(429, retry_after=1e12))
    assert isinstance(decision, Retry)
    assert decision.delay == MAX_RETRY_AFTER_SECONDS


def test_a_retry_after_the_timeout_is_not_scheduled() -> None:
    assert isinstance(decided(RemoteError(503, retry_after=120), seconds_left=119), Abort)
    assert isinstance(decided(RemoteError(503, retry_after=120), seconds_left=121), Retry)


def test_free_space_is_waited_for_longer_unless_the_file_can_never_fit() -> None:
    decision = decided(InsufficientStorageError("full"))
    assert isinstance(decision, Retry)
    assert decision.delay == INITIAL_STORAGE_DELAY_SECONDS / 2
    assert isinstance(decided(InsufficientStorageError("too small", permanent=True)), Abort)
    assert isinstance(decided(InsufficientStorageError("full"), seconds_left=INITIAL_STORAGE_DELAY_SECONDS / 2), Abort)


@pytest.mark.parametrize("failures", [0, 5])
def test_a_missing_storage_costs_no_retry(failures: int) -> None:
    decision = decided(StorageRootMissingError("gone"), failures=failures, retries=failures)
    assert isinstance(decision, Retry)
    assert decision.failures == failures


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        # The queue is held until the root is back.
        (StorageRootMissingError("gone"), INITIAL_DELAY_SECONDS / 2),
        (StorageAwayError("does not answer"), INITIAL_STORAGE_DELAY_SECONDS / 2),
    ],
)
def test_a_storage_that_is_away_ends_no_download_by_time(error: DownloadError, delay: float) -> None:
    for failures in range(3):
        assert decided(error, failures=failures, retries=0, seconds_left=0.0) == Retry(delay=delay, failures=failures)


def test_a_lack_of_space_is_retried_a_few_times_only() -> None:
    full = InsufficientStorageError("full")
    assert isinstance(decided(full, failures=MAX_STORAGE_RETRIES - 1, retries=1000), Retry)
    assert isinstance(decided(full, failures=MAX_STORAGE_RETRIES, retries=1000), Abort)
    assert isinstance(decided(full, failures=2, retries=1), Abort)
