from typing import Any

from support.exposition import ReadableSeries

from downloadd.metrics.gauges import SnapshotGauges
from downloadd.metrics.snapshot import GaugeSnapshot, KeptUsage, OriginUsage, QuotaUsage, StorageUsage
from downloadd.node import NodeState
from downloadd.runtime_settings import RuntimeSettings
from downloadd.states import ACTIVE, State, WaitReason
from downloadd.user_quota import DayUse, QuotaUse, UserQuotaUse


def test_a_snapshot_replaces_the_counts_of_states_and_reasons() -> None:
    series = ReadableSeries()
    gauges = SnapshotGauges(series)
    gauges.set(GaugeSnapshot(active={State.QUEUED: 1, State.PAUSED: 1}, waiting={WaitReason.DELAYED: 5}))
    gauges.set(GaugeSnapshot(active={State.QUEUED: 7}, waiting={WaitReason.HOST_LIMIT: 7}))
    states = {state: series.value("downloadd_downloads_active", state=state.value) for state in State}
    assert states == {state: (7 if state is State.QUEUED else 0) if state in ACTIVE else None for state in State}
    reasons = {reason: series.value("downloadd_downloads_waiting", reason=reason.value) for reason in WaitReason}
    assert reasons == {reason: 7 if reason is WaitReason.HOST_LIMIT else 0 for reason in WaitReason}


def test_series_of_hooks_quotas_and_storage_disappear_with_them() -> None:
    series = ReadableSeries()
    gauges = SnapshotGauges(series)
    quota = QuotaUsage(directory="team", used=5, limit=10)
    full = GaugeSnapshot(
        origins=OriginUsage(connections=5, busiest=3, connected=2, waiting=1, blocked=1, unreachable=2, slowed=4),
        users=[
            UserQuotaUse(
                user="bob",
                max_concurrent=QuotaUse(used=1, limit=2),
                bytes_per_day=DayUse(used=3, limit=4, ends=5),
            )
        ],
        subscribers=4,
        imports=6,
        messages={"chat": 3},
        nodes={NodeState.UP: 2, NodeState.GONE: 1},
        kept=KeptUsage(parts=7, size=8),
        limits=RuntimeSettings(max_concurrent=4, max_per_host=2, speed_limit=1000, allow_starts=False),
        storage=StorageUsage(free=1, size=2, reserved=3, quotas=[quota]),
    )
    expected: list[tuple[str, dict[str, str], float, Any]] = [
        ("downloadd_origin_connections", {}, 5, 0),
        ("downloadd_origin_connections_busiest_host", {}, 3, 0),
        ("downloadd_origin_hosts_connected", {}, 2, 0),
        ("downloadd_origin_hosts_waiting", {}, 1, 0),
        ("downloadd_origin_hosts_blocked", {}, 1, 0),
        ("downloadd_origin_hosts_unreachable", {}, 2, 0),
        ("downloadd_origin_hosts_slowed", {}, 4, 0),
        ("downloadd_event_subscribers", {}, 4, 0),
        ("downloadd_imports_active", {}, 6, 0),
        ("downloadd_hook_messages_waiting", {"hook": "chat"}, 3, None),
        ("downloadd_user_quota_used", {"user": "bob", "quota": "max_concurrent"}, 1, None),
        ("downloadd_user_quota_limit", {"user": "bob", "quota": "bytes_per_day"}, 4, None),
        ("downloadd_nodes", {"state": "up"}, 2, 0),
        ("downloadd_nodes", {"state": "draining"}, 0, 0),
        ("downloadd_nodes", {"state": "gone"}, 1, 0),
        ("downloadd_kept_parts", {}, 7, 0),
        ("downloadd_limit_speed_bytes", {}, 1000, 1000),
        ("downloadd_limit_concurrent", {}, 4, 4),
        ("downloadd_limit_starts_allowed", {}, 0, 0),
        ("downloadd_kept_bytes", {}, 8, 0),
        ("downloadd_storage_free_bytes", {}, 1, None),
        ("downloadd_storage_size_bytes", {}, 2, None),
        ("downloadd_storage_reserved_bytes", {}, 3, None),
        ("downloadd_quota_used_bytes", {"directory": "team"}, 5, None),
        ("downloadd_quota_limit_bytes", {"directory": "team"}, 10, None),
    ]
    gauges.set(full)
    assert [series.value(name, **labels) for name, labels, _, _ in expected] == [present for *_, present, _ in expected]
    gauges.set(GaugeSnapshot())
    assert [series.value(name, **labels) for name, labels, _, _ in expected] == [absent for *_, absent in expected]
