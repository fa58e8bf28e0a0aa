from support.exposition import ReadableSeries

from downloadd.metrics.rpc import RpcMetrics, RpcTransport


def test_calls_are_counted_by_transport_from_the_start() -> None:
    series = ReadableSeries()
    metrics = RpcMetrics(series)
    metrics.called(RpcTransport.WEB_SOCKET, 3)
    values = [series.value("downloadd_rpc_calls_total", transport=name) for name in ("http", "websocket", "xml")]
    assert values == [0, 3, 0]


def test_open_and_dropped_sockets_and_notifications_are_counted() -> None:
    series = ReadableSeries()
    metrics = RpcMetrics(series)
    metrics.socket_opened()
    metrics.socket_opened()
    metrics.socket_closed()
    metrics.socket_dropped()
    metrics.notified(20)
    assert series.value("downloadd_rpc_sockets") == 1
    assert series.value("downloadd_rpc_sockets_dropped_total") == 1
    assert series.value("downloadd_rpc_notifications_total") == 20
