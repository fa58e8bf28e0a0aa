import pytest

from downloadd.metrics.snapshot import GaugeSnapshot, OriginUsage


def test_a_snapshot_of_an_idle_daemon_needs_no_values() -> None:
    snapshot = GaugeSnapshot()
    assert snapshot.origins == OriginUsage(connections=0, busiest=0, connected=0, waiting=0, blocked=0)
    assert snapshot.storage is None


def test_a_snapshot_does_not_change_while_it_is_rendered() -> None:
    with pytest.raises(AttributeError):
        GaugeSnapshot().subscribers = 1  # type: ignore[misc]
