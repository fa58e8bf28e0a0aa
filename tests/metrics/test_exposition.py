import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.exposition import read_series

from downloadd import __version__
from downloadd.metrics import DeliveryOutcome, GaugeSnapshot, Metrics
from downloadd.states import State


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return read_series(metrics.render(GaugeSnapshot())[0], name, **labels)


def test_requests_are_counted_by_method_and_status_and_measured() -> None:
    metrics = Metrics()
    for method, status in (("GET", 200), ("GET", 201), ("GET", 200)):
        metrics.request(method, status, 0.02)
    assert value(metrics, "downloadd_http_requests_total", method="GET", status="200") == 2
    assert value(metrics, "downloadd_http_requests_total", method="GET", status="201") == 1
    assert value(metrics, "downloadd_http_request_duration_seconds_bucket", le="0.025") == 3
    assert value(metrics, "downloadd_http_request_duration_seconds_bucket", le="0.01") == 0


def test_failed_logins_are_counted() -> None:
    metrics = Metrics()
    metrics.login_failed()
    assert value(metrics, "downloadd_failed_logins_total") == 1


def test_the_metrics_of_every_subject_are_in_one_exposition() -> None:
    metrics = Metrics()
    metrics.imports.register_kind("csv")
    metrics.downloads.accepted(3)
    metrics.process.committed(1, 0.1)
    metrics.hooks.delivery_attempted("chat", DeliveryOutcome.DELIVERED, 1)
    assert value(metrics, "downloadd_downloads_accepted_total") == 3
    assert value(metrics, "downloadd_store_commit_rows_count") == 1
    assert value(metrics, "downloadd_hook_attempts_total", hook="chat", outcome="delivered") == 1
    assert value(metrics, "downloadd_imports_ended_total", importer="csv", outcome="done") == 0
    assert value(metrics, "downloadd_build_info", version=__version__) == 1
    assert value(metrics, "process_resident_memory_bytes") is not None


def test_an_exposition_shows_the_gauges_of_its_snapshot_only() -> None:
    metrics = Metrics()
    name = "downloadd_downloads_active"
    first, _ = metrics.render(GaugeSnapshot(active={State.QUEUED: 7}))
    second, _ = metrics.render(GaugeSnapshot())
    assert [read_series(text, name, state="queued") for text in (first, second)] == [7, 0]


def test_each_instance_has_a_registry_of_its_own() -> None:
    first, second = Metrics(), Metrics()
    first.login_failed()
    assert value(second, "downloadd_failed_logins_total") == 0
    assert not [family for family in REGISTRY.collect() if family.name.startswith("downloadd")]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_the_accept_field_selects_the_format(accept: str, media_type: str) -> None:
    body, content_type = Metrics().render(GaugeSnapshot(), accept)
    assert content_type.startswith(media_type)
    assert body.startswith(b"# HELP ")
    parse = openmetrics.text_string_to_metric_families if accept else text_string_to_metric_families
    assert "downloadd_build_info" in {family.name for family in parse(body.decode())}
