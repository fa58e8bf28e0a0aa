from collections.abc import Mapping

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from downloadd.errors import ErrorCode
from downloadd.metrics import Metrics
from downloadd.states import ACTIVE, State


def sample(metrics: Metrics, name: str, active: Mapping[State, int] | None = None, **labels: str) -> float | None:
    """The value of a series as a scraper reads it; None when there is no such series."""
    for family in text_string_to_metric_families(metrics.render(active or {})[0].decode()):
        for each in family.samples:
            if each.name == name and each.labels == labels:
                return float(each.value)
    return None


def test_what_happened_is_counted() -> None:
    metrics = Metrics()
    metrics.accepted(3)
    metrics.accepted(2)
    metrics.received(1000)
    metrics.received(24)
    metrics.attempt_failed(ErrorCode.NETWORK_ERROR)
    metrics.committed(512)
    metrics.loop_lagged(0.25)
    assert sample(metrics, "downloadd_downloads_accepted_total") == 5
    assert sample(metrics, "downloadd_received_bytes_total") == 1024
    assert sample(metrics, "downloadd_attempts_failed_total", error="NETWORK_ERROR") == 1
    assert sample(metrics, "downloadd_store_commits_total") == 1
    assert sample(metrics, "downloadd_store_rows_total") == 512
    assert sample(metrics, "downloadd_event_loop_lag_seconds") == 0.25


def test_ends_are_counted_by_outcome_and_error_and_measured() -> None:
    metrics = Metrics()
    metrics.ended(State.COMPLETED, None, 2)
    metrics.ended(State.FAILED, ErrorCode.DOWNLOAD_TIMEOUT, 300)
    metrics.ended(State.FAILED, ErrorCode.DOWNLOAD_TIMEOUT, 300)
    name = "downloadd_downloads_ended_total"
    assert sample(metrics, name, outcome="completed", error="") == 1
    assert sample(metrics, name, outcome="failed", error="DOWNLOAD_TIMEOUT") == 2
    assert sample(metrics, "downloadd_download_duration_seconds_count") == 3
    assert sample(metrics, "downloadd_download_duration_seconds_sum") == 602
    assert sample(metrics, "downloadd_download_duration_seconds_bucket", le="5.0") == 1


def test_a_clock_that_was_set_back_does_not_break_the_histogram() -> None:
    metrics = Metrics()
    metrics.ended(State.COMPLETED, None, -5)
    assert sample(metrics, "downloadd_download_duration_seconds_sum") == 0


def test_requests_are_counted_by_method_and_status() -> None:
    metrics = Metrics()
    for method, status in (("GET", 200), ("GET", 201), ("GET", 200)):
        metrics.request(method, status)
    assert sample(metrics, "downloadd_http_requests_total", method="GET", status="200") == 2
    assert sample(metrics, "downloadd_http_requests_total", method="GET", status="201") == 1


def test_active_downloads_are_those_of_the_moment() -> None:
    metrics = Metrics()
    metrics.render({State.QUEUED: 1, State.PAUSED: 1})
    values = {
        state: sample(metrics, "downloadd_downloads_active", {State.QUEUED: 7}, state=state.value) for state in State
    }
    assert values == {state: (7 if state is State.QUEUED else 0) if state in ACTIVE else None for state in State}


def test_each_has_a_registry_of_its_own() -> None:
    first, second = Metrics(), Metrics()
    first.accepted(1)
    assert sample(second, "downloadd_downloads_accepted_total") == 0
    assert not [family for family in REGISTRY.collect() if family.name.startswith("downloadd")]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_the_exposition_says_its_media_type(accept: str, media_type: str) -> None:
    body, content_type = Metrics().render({}, accept)
    assert content_type.startswith(media_type)
    assert body.startswith(b"# HELP downloadd_")


def test_series_are_named_as_the_documentation_says() -> None:
    names = {family.name for family in text_string_to_metric_families(Metrics().render({})[0].decode())}
    assert {name for name in names if not name.endswith("_created")} == {
        "downloadd_build_info",
        "downloadd_downloads_active",
        "downloadd_downloads_accepted",
        "downloadd_downloads_ended",
        "downloadd_attempts_failed",
        "downloadd_received_bytes",
        "downloadd_http_requests",
        "downloadd_download_duration_seconds",
        "downloadd_event_loop_lag_seconds",
        "downloadd_store_commits",
        "downloadd_store_rows",
    }
