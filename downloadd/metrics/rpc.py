"""Metrics of the RPC interface of aria2."""

from enum import StrEnum

from downloadd.metrics.series import Series


class RpcTransport(StrEnum):
    """Transport of a message."""

    HTTP = "http"
    """JSON in a POST or GET request."""
    WEB_SOCKET = "websocket"
    XML = "xml"


class RpcMetrics:
    """Counters of messages, notifications and WebSockets."""

    def __init__(self, series: Series) -> None:
        self._calls = series.labelled_counter(
            "downloadd_rpc_calls",
            "Calls of aria2's RPC interface, by transport; one of system.multicall counts once.",
            ("transport",),
        )
        self._sockets = series.gauge("downloadd_rpc_sockets", "Open WebSockets of aria2's RPC interface.")
        self._dropped = series.counter(
            "downloadd_rpc_sockets_dropped", "WebSockets that were closed because their clients did not read."
        )
        self._notifications = series.counter(
            "downloadd_rpc_notifications", "Notifications sent to WebSockets, one for each of them."
        )
        for transport in RpcTransport:
            self._calls[transport,].inc(0)

    def called(self, transport: RpcTransport, calls: int) -> None:
        """Count the calls of an answered message."""
        self._calls[transport,].inc(calls)

    def socket_opened(self) -> None:
        """Count a WebSocket that is open."""
        self._sockets.inc()

    def socket_closed(self) -> None:
        """Count a WebSocket that is no longer open."""
        self._sockets.dec()

    def socket_dropped(self) -> None:
        """Count a WebSocket that is closed because its client does not read."""
        self._dropped.inc()

    def notified(self, sockets: int) -> None:
        """Count a notification to some WebSockets."""
        self._notifications.inc(sockets)
