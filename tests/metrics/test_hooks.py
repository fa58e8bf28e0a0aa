from support.exposition import ReadableSeries

from downloadd.metrics.hooks import DeliveryOutcome, HookMetrics

NAME = "downloadd_hook_attempts_total"


def test_delivery_attempts_are_counted_by_hook_and_outcome_and_measured() -> None:
    series = ReadableSeries()
    metrics = HookMetrics(series)
    metrics.delivery_attempted("chat", DeliveryOutcome.FAILED, 0.5)
    metrics.delivery_attempted("chat", DeliveryOutcome.FAILED, 0.5)
    metrics.delivery_attempted("other", DeliveryOutcome.DELIVERED, 2)
    assert series.value(NAME, hook="chat", outcome="failed") == 2
    assert series.value(NAME, hook="other", outcome="delivered") == 1
    assert series.value("downloadd_hook_try_duration_seconds_sum") == 3


def test_a_registered_hook_has_a_series_for_each_outcome() -> None:
    series = ReadableSeries()
    metrics = HookMetrics(series)
    assert series.value(NAME, hook="chat", outcome="delivered") is None
    metrics.register_hook("chat")
    values = {
        outcome: series.value(NAME, hook="chat", outcome=outcome) for outcome in ("delivered", "failed", "aborted")
    }
    assert values == {"delivered": 0, "failed": 0, "aborted": 0}


def test_registering_a_hook_again_keeps_its_counts() -> None:
    series = ReadableSeries()
    metrics = HookMetrics(series)
    metrics.delivery_attempted("chat", DeliveryOutcome.ABORTED, 1)
    metrics.register_hook("chat")
    assert series.value(NAME, hook="chat", outcome="aborted") == 1
