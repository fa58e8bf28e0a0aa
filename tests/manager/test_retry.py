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
def test_what_may_pass_is_tried_again(error: DownloadError) -> None:
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
def test_what_lasts_is_not(error: DownloadError) -> None:
    assert isinstance(decided(error), Abort)


@pytest.mark.parametrize(("failures", "retries", "expected"), [(0, 0, Abort), (4, 5, Retry), (5, 5, Abort)])
def test_it_gives_up_when_the_retries_are_spent(failures: int, retries: int, expected: type) -> None:
    assert isinstance(decided(NetworkError("x"), failures=failures, retries=retries), expected)


def test_an_attempt_that_had_to_wait_for_the_records_is_not_counted() -> None:
    decision = decided(NetworkError("x"), failures=5, retries=5, excused=True)
    assert isinstance(decision, Retry)
    assert decision.failures == 5


def test_an_attempt_that_brought_something_starts_the_count_anew() -> None:
    decision = decided(NetworkError("x"), failures=5, retries=5, progressed=True)
    assert isinstance(decision, Retry)
    assert decision.failures == 1


def test_delays_double() -> None:
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


def test_retry_after_is_honoured_and_holds_for_the_host() -> None:
    decision = decided(RemoteError(503, retry_after=120))
    assert isinstance(decision, Retry)
    assert decision.delay == 120
    assert decision.host_backoff


def test_without_retry_after_other_downloads_of_the_host_go_on() -> None:
    decision = decided(RemoteError(503))
    assert isinstance(decision, Retry)
    assert not decision.host_backoff


def test_an_absurd_retry_after_is_cut() -> None:
    decision = decided(RemoteError(429, retry_after=1e12))
    assert isinstance(decision, Retry)
    assert decision.delay == MAX_RETRY_AFTER_SECONDS


def test_the_host_waits_even_when_the_download_does_not_come_back() -> None:
    asked = RemoteError(503, retry_after=120)
    assert decided(asked, time_left=60) == Abort(failures=1, host_backoff=120)
    assert decided(asked, failures=5, retries=5) == Abort(failures=6, host_backoff=120)
    assert decided(RemoteError(503), retries=0) == Abort(failures=1, host_backoff=None)
    assert decided(RemoteError(403, retry_after=120)) == Abort(failures=1, host_backoff=None)


def test_a_retry_that_would_come_after_the_timeout_is_none() -> None:
    assert isinstance(decided(RemoteError(503, retry_after=120), time_left=119), Abort)
    assert isinstance(decided(RemoteError(503, retry_after=120), time_left=121), Retry)


def test_room_is_waited_for_longer_and_what_never_fits_is_not() -> None:
    decision = decided(InsufficientStorageError("full"))
    assert isinstance(decision, Retry)
    assert decision.delay == INITIAL_STORAGE_DELAY_SECONDS / 2
    assert isinstance(decided(InsufficientStorageError("too small", permanent=True)), Abort)
    assert isinstance(decided(InsufficientStorageError("full"), time_left=INITIAL_STORAGE_DELAY_SECONDS / 2), Abort)


@pytest.mark.parametrize("failures", [0, 5])
def test_a_storage_that_is_gone_costs_no_retry(failures: int) -> None:
    decision = decided(StorageRootMissingError("gone"), failures=failures, retries=failures)
    assert isinstance(decision, Retry)
    assert decision.failures == failures
