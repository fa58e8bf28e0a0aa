"""Limit on client connections, so that enough file descriptors are left for downloads."""

from typing import Protocol


class ClientConnection(Protocol):
    """One connection of a client."""

    def abort(self) -> None:
        """Close the connection at once, without waiting for unread responses."""
        ...


class ConnectionLimit:
    """Limit on client connections; closes the one idle longest when it is exceeded."""

    def __init__(self, max_connections: int | None) -> None:
        """`max_connections` connections at the same time; None for no limit."""
        self._max_connections = max_connections
        # A dictionary, because it keeps the order in which the connections became idle.
        self._idle: dict[ClientConnection, None] = {}
        self._busy: set[ClientConnection] = set()

    def add(self, connection: ClientConnection) -> None:
        """Add a new connection, which is idle."""
        if self._max_connections is not None and len(self._idle) + len(self._busy) >= self._max_connections:
            # If no other one is idle, the new one is closed.
            longest_idle = next(iter(self._idle), connection)
            self.remove(longest_idle)
            longest_idle.abort()
            if longest_idle is connection:
                return
        self._idle[connection] = None

    def mark_busy(self, connection: ClientConnection) -> None:
        """Mark a connection whose request is being handled."""
        if connection in self._idle:
            del self._idle[connection]
            self._busy.add(connection)

    def mark_idle(self, connection: ClientConnection) -> None:
        """Mark a connection whose request has been handled."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._idle[connection] = None

    def remove(self, connection: ClientConnection) -> None:
        """Remove a connection that is closed."""
        self._busy.discard(connection)
        self._idle.pop(connection, None)
