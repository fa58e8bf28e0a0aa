from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.fake_imports import make_operation

from downloadd.errors import ErrorCode
from downloadd.import_operation import ImportState
from downloadd.metrics import DeliveryOutcome, GaugeSnapshot, Metrics, OriginUsage, QuotaUsage, StorageUsage
from downloadd.states import ACTIVE, State, WaitReason


def sample(metrics: Metrics, name: str, moment: GaugeSnapshot | None = None, **labels: str) -> float | None:
    """The value of a series as a scraper reads it; None when there is no such series."""
    for family in text_string_to_metric_families(metrics.render(moment or GaugeSnapshot())[0].decode()):
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
    metrics.login_failed()
    metrics.reader_lost(17)
    assert sample(metrics, "downloadd_downloads_accepted_total") == 5
    assert sample(metrics, "downloadd_received_bytes_total") == 1024
    assert sample(metrics, "downloadd_attempts_failed_total", error="NETWORK_ERROR") == 1
    assert sample(metrics, "downloadd_failed_logins_total") == 1
    assert sample(metrics, "downloadd_event_subscribers_lost_total") == 1
    assert sample(metrics, "downloadd_events_lost_total") == 17


def test_commits_and_the_loop_are_measured() -> None:
    metrics = Metrics()
    metrics.committed(512, 0.25)
    metrics.committed(1, 0.004)
    metrics.loop_lagged(0.2)
    assert sample(metrics, "downloadd_store_commit_rows_sum") == 513
    assert sample(metrics, "downloadd_store_commit_rows_count") == 2
    assert sample(metrics, "downloadd_store_commit_duration_seconds_bucket", le="0.005") == 1
    assert sample(metrics, "downloadd_event_loop_lag_seconds_bucket", le="0.1") == 0
    assert sample(metrics, "downloadd_event_loop_lag_seconds_bucket", le="0.25") == 1


def test_attempts_are_counted_and_the_wait_for_the_first_is_measured() -> None:
    metrics = Metrics()
    for waited in (3.0, None, -1.0):
        metrics.attempt_started(waited)
    assert sample(metrics, "downloadd_attempts_started_total") == 3
    assert sample(metrics, "downloadd_queue_wait_seconds_count") == 2
    assert sample(metrics, "downloadd_queue_wait_seconds_sum") == 3


def test_ends_are_counted_by_outcome_and_error_and_measured() -> None:
    metrics = Metrics()
    metrics.ended(State.COMPLETED, None, 2)
    metrics.ended(State.FAILED, ErrorCode.DOWNLOAD_TIMEOUT, 300)
    metrics.ended(State.FAILED, ErrorCode.DOWNLOAD_TIMEOUT, 300)
    name = "downloadd_downloads_ended_total"
    assert sample(metrics, name, outcome="completed", error="") == 1
    assert sample(metrics, name, outcome="failed", error="DOWNLOAD_TIMEOUT") == 2
    assert sample(metrics, name, outcome="cancelled", error="CANCELLED") == 0
    assert sample(metrics, "downloadd_download_duration_seconds_count") == 3
    assert sample(metrics, "downloadd_download_duration_seconds_sum") == 602
    assert sample(metrics, "downloadd_download_duration_seconds_bucket", le="5.0") == 1


def test_a_clock_that_was_set_back_does_not_break_the_histogram() -> None:
    metrics = Metrics()
    metrics.ended(State.COMPLETED, None, -5)
    assert sample(metrics, "downloadd_download_duration_seconds_sum") == 0


def test_requests_are_counted_by_method_and_status_and_measured() -> None:
    metrics = Metrics()
    for method, status in (("GET", 200), ("GET", 201), ("GET", 200)):
        metrics.request(method, status, 0.02)
    assert sample(metrics, "downloadd_http_requests_total", method="GET", status="200") == 2
    assert sample(metrics, "downloadd_http_requests_total", method="GET", status="201") == 1
    assert sample(metrics, "downloadd_http_request_duration_seconds_bucket", le="0.025") == 3


def test_imports_are_counted_when_they_end() -> None:
    metrics = Metrics()
    for kind in ("slack", "csv"):
        metrics.register_import_kind(kind)
    operation = make_operation(kind="slack")
    for state in (
        ImportState.READING,
        ImportState.DONE,
        ImportState.FAILED,
        ImportState.CANCELLED,
        ImportState.DONE,
    ):
        operation = msgspec.structs.replace(operation, state=state)
        metrics.import_state_changed(operation)
    name = "downloadd_imports_ended_total"
    outcomes = {outcome: sample(metrics, name, importer="slack", outcome=outcome) for outcome in OUTCOMES}
    assert outcomes == {"done": 2, "failed": 1, "cancelled": 1}
    assert sample(metrics, name, importer="csv", outcome="done") == 0


OUTCOMES = ("done", "failed", "cancelled")


def test_delivery_attempts_are_counted_from_the_registration_of_a_hook() -> None:
    metrics = Metrics()
    metrics.register_hook("chat")
    metrics.delivery_attempted("chat", DeliveryOutcome.FAILED, 0.5)
    metrics.delivery_attempted("chat", DeliveryOutcome.DELIVERED, 0.5)
    name = "downloadd_hook_tries_total"
    tries = {outcome.value: sample(metrics, name, hook="chat", outcome=outcome) for outcome in DeliveryOutcome}
    assert tries == {"delivered": 1, "failed": 1, "given_up": 0}
    assert sample(metrics, "downloadd_hook_try_duration_seconds_sum") == 1


def test_downloads_of_the_moment_are_shown_by_state_and_by_what_they_wait_for() -> None:
    metrics = Metrics()
    metrics.render(GaugeSnapshot(active={State.QUEUED: 1, State.PAUSED: 1}, waiting={WaitReason.DELAYED: 5}))
    moment = GaugeSnapshot(active={State.QUEUED: 7}, waiting={WaitReason.HOST_LIMIT: 7})
    states = {state: sample(metrics, "downloadd_downloads_active", moment, state=state.value) for state in State}
    assert states == {state: (7 if state is State.QUEUED else 0) if state in ACTIVE else None for state in State}
    holds = {hold: sample(metrics, "downloadd_downloads_waiting", moment, reason=hold.value) for hold in WaitReason}
    assert holds == {hold: 7 if hold is WaitReason.HOST_LIMIT else 0 for hold in WaitReason}


def test_hooks_quotas_and_a_disk_that_are_there_no_more_are_not_shown() -> None:
    metrics = Metrics()
    quota = QuotaUsage(directory="team", used=5, limit=10)
    full = GaugeSnapshot(
        origins=OriginUsage(connections=5, busiest=3, connected=2, waiting=1, blocked=1),
        messages={"chat": 3},
        storage=StorageUsage(free=1, size=2, reserved=3, quotas=[quota]),
    )
    expected: list[tuple[str, dict[str, str], Any, Any]] = [
        ("downloadd_origin_connections", {}, 5, 0),
        ("downloadd_origin_connections_busiest_host", {}, 3, 0),
        ("downloadd_origin_hosts_connected", {}, 2, 0),
        ("downloadd_hook_messages_waiting", {"hook": "chat"}, 3, None),
        ("downloadd_storage_free_bytes", {}, 1, None),
        ("downloadd_storage_reserved_bytes", {}, 3, None),
        ("downloadd_quota_used_bytes", {"directory": "team"}, 5, None),
        ("downloadd_quota_limit_bytes", {"directory": "team"}, 10, None),
    ]
    for name, labels, shown, gone in expected:
        assert sample(metrics, name, full, **labels) == shown
        assert sample(metrics, name, GaugeSnapshot(), **labels) == gone


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
    body, content_type = Metrics().render(GaugeSnapshot(), accept)
    assert content_type.startswith(media_type)
    assert body.startswith(b"# HELP ")
    parse = openmetrics.text_string_to_metric_families if accept else text_string_to_metric_families
    assert "downloadd_build_info" in {family.name for family in parse(body.decode())}
