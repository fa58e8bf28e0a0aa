"""Limits of WebSockets.

Pure: no I/O and no clock.
"""

import msgspec


class SocketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of WebSockets; the times are in seconds."""

    max_anonymous: int = 32
    """WebSockets without a right token; each may hold a message of 16 MiB that is not complete yet."""
    max_calls: int = 32
    """Messages of one WebSocket that are answered at the same time; then no further one is read."""
    max_unread_bytes: int = 1024 * 1024
    """Bytes that may wait for a client before no further call of it is read."""
    max_unread_notifications: int = 20_000
    """Notifications that may wait for a client: as many as the pause of a queue of that length causes."""
    max_write_seconds: float = 30.0
    """Time that a client may leave its connection full, besides what `min_write_rate` allows for a message."""
    min_write_rate: int = 8192
    """Bytes a second that a client has to read at least."""
    ping_seconds: float = 30.0
    """Time without a message before a ping: proxies close connections without traffic, and the kernel those without a
    client at the other end."""
    finish_seconds: float = 0.5
    """Time that calls in flight have when the daemon stops."""
    close_seconds: float = 0.5
    """Time that a client has to read what waits for it, and to confirm that the socket is closed."""
