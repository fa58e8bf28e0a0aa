"""The WebSockets that are open, and the limit on those that nobody has shown a token for."""

from typing import Protocol


class OpenSocket(Protocol):
    """One open WebSocket."""

    def abort(self) -> None:
        """Close the connection at once."""
        ...

    def stop(self) -> None:
        """Close it in an orderly way, because the daemon stops."""
        ...


class OpenSockets:
    """All open WebSockets; the oldest one without a right token is closed when there are too many of them."""

    def __init__(self, max_anonymous: int) -> None:
        self._max_anonymous = max_anonymous
        self._known: set[OpenSocket] = set()
        # A dictionary, because it keeps the order in which they were opened.
        self._anonymous: dict[OpenSocket, None] = {}
        self._is_stopping = False

    def add(self, socket: OpenSocket) -> None:
        """Add a new one."""
        self._anonymous[socket] = None
        if len(self._anonymous) > self._max_anonymous:
            oldest = next(iter(self._anonymous))
            self.remove(oldest)
            oldest.abort()
        if self._is_stopping:
            socket.stop()

    def mark_known(self, socket: OpenSocket) -> None:
        """Record that a client has sent a right token."""
        if socket in self._anonymous:
            del self._anonymous[socket]
            self._known.add(socket)

    def remove(self, socket: OpenSocket) -> None:
        """Remove one that is closed."""
        self._anonymous.pop(socket, None)
        self._known.discard(socket)

    def stop_all(self) -> None:
        """Close all of them, present and future."""
        self._is_stopping = True
        for socket in (*self._known, *self._anonymous):
            socket.stop()
