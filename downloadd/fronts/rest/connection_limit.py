"""The connections of clients: no more than there is room for, so that downloads keep their share of the descriptors."""

from typing import Protocol


class ClientConnection(Protocol):
    """One connection of a client."""

    def abort(self) -> None:
        """Ends it at once, whatever it has left unread."""
        ...


class ConnectionLimit:
    """Who is connected. When one too many comes, whoever has been quiet for longest has to go."""

    def __init__(self, max_connections: int | None) -> None:
        """`max_connections` connections at once; None for no limit."""
        self._max_connections = max_connections
        # Dictionaries, because they keep the order in which the quiet ones fell quiet.
        self._idle: dict[ClientConnection, None] = {}
        self._busy: set[ClientConnection] = set()

    def add(self, connection: ClientConnection) -> None:
        """Somebody has come, and asks for nothing yet."""
        if self._max_connections is not None and len(self._idle) + len(self._busy) >= self._max_connections:
            # If all others are being answered, it is the new one that has to go.
            longest_idle = next(iter(self._idle), connection)
            self.remove(longest_idle)
            longest_idle.abort()
            if longest_idle is connection:
                return
        self._idle[connection] = None

    def mark_busy(self, connection: ClientConnection) -> None:
        """It has asked, and is being answered."""
        if connection in self._idle:
            del self._idle[connection]
            self._busy.add(connection)

    def mark_idle(self, connection: ClientConnection) -> None:
        """It has been answered."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._idle[connection] = None

    def remove(self, connection: ClientConnection) -> None:
        """It is gone."""
        self._busy.discard(connection)
        self._idle.pop(connection, None)
