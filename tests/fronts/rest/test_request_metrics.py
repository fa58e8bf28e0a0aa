"""The metrics of requests: the real ones and the fake of the tests."""

import pytest
from support.fake_manager import FakeMetrics
from support.protocol_methods import differences

from downloadd.fronts.rest.request_metrics import RequestMetrics
from downloadd.metrics import GaugeSnapshot, Metrics
from downloadd.states import State


@pytest.mark.parametrize("implementation", [Metrics, FakeMetrics])
def test_the_metrics_have_the_methods_of_the_interface(implementation: type) -> None:
    assert list(differences(RequestMetrics, implementation)) == []


def test_requests_and_wrong_credentials_are_counted_and_rendered_with_the_gauges() -> None:
    metrics: RequestMetrics = Metrics()
    metrics.request("GET", 200, 0.25)
    metrics.request("GET", 200, 0.5)
    metrics.login_failed()
    text, media_type = metrics.render(GaugeSnapshot(active={State.QUEUED: 3}))
    lines = text.decode().splitlines()
    assert 'downloadd_http_requests_total{method="GET",status="200"} 2.0' in lines
    assert "downloadd_failed_logins_total 1.0" in lines
    assert 'downloadd_downloads_active{state="queued"} 3.0' in lines
    assert media_type.startswith("text/plain")


def test_the_format_is_one_that_the_client_accepts() -> None:
    metrics: RequestMetrics = Metrics()
    _, media_type = metrics.render(GaugeSnapshot(active={}), "application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
