"""Metrics for Prometheus: counters of what happened, by subject, and gauges of the current state."""

from downloadd.metrics.downloads import DownloadMetrics
from downloadd.metrics.exposition import Metrics
from downloadd.metrics.hooks import DeliveryOutcome, HookMetrics
from downloadd.metrics.imports import ImportMetrics
from downloadd.metrics.process import ProcessMetrics
from downloadd.metrics.rpc import RpcMetrics, RpcTransport
from downloadd.metrics.snapshot import GaugeSnapshot, KeptUsage, OriginUsage, QuotaUsage, StorageUsage
from downloadd.metrics.uploads import UploadMetrics, UploadOutcome

__all__ = (
    "DeliveryOutcome",
    "DownloadMetrics",
    "GaugeSnapshot",
    "HookMetrics",
    "ImportMetrics",
    "KeptUsage",
    "Metrics",
    "OriginUsage",
    "ProcessMetrics",
    "QuotaUsage",
    "RpcMetrics",
    "RpcTransport",
    "StorageUsage",
    "UploadMetrics",
    "UploadOutcome",
)
