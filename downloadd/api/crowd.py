"""The connections of clients: no more than there is room for, so that downloads keep their share of the descriptors."""

from typing import Protocol


class Connection(Protocol):
    """One connection of a client."""

    def abort(self) -> None:
        """Ends it at once, whatever it has left unread."""
        ...


class Crowd:
    """Who is connected. When one too many comes, whoever has been quiet for longest has to go."""

    def __init__(self, most: int | None) -> None:
        """`most` connections at once; None for no limit."""
        self._most = most
        # Dictionaries, because they keep the order in which the quiet ones fell quiet.
        self._quiet: dict[Connection, None] = {}
        self._busy: set[Connection] = set()

    def enter(self, connection: Connection) -> None:
        """Somebody has come, and asks for nothing yet."""
        if self._most is not None and len(self._quiet) + len(self._busy) >= self._most:
            # If all others are being answered, it is the new one that has to go.
            quietest = next(iter(self._quiet), connection)
            self.leave(quietest)
            quietest.abort()
            if quietest is connection:
                return
        self._quiet[connection] = None

    def ask(self, connection: Connection) -> None:
        """It has asked, and is being answered."""
        if connection in self._quiet:
            del self._quiet[connection]
            self._busy.add(connection)

    def rest(self, connection: Connection) -> None:
        """It has been answered."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._quiet[connection] = None

    def leave(self, connection: Connection) -> None:
        """It is gone."""
        self._busy.discard(connection)
        self._quiet.pop(connection, None)
