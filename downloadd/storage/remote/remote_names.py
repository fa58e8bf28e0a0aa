"""Final names on other machines: taken, free and reserved ones."""

from downloadd.download import Conflict, join_path
from downloadd.storage.conflicts import Reservations, resolve_conflict
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.remote.remote_storage import RemoteStorage


class _UnknownNameError(Exception):
    def __init__(self, name: SafeName) -> None:
        super().__init__(name)
        self.name = name


class RemoteNames:
    """Choice and reservation of names for all downloads to other machines."""

    def __init__(self) -> None:
        self._reservations = Reservations()

    async def exists(self, storage: RemoteStorage, directory: SafeDirectory, filename: SafeName) -> bool:
        """Return True if there is a file of this name."""
        return await storage.find(storage.key_of(directory, filename)) is not None

    async def reserve(
        self, storage: RemoteStorage, directory: SafeDirectory, filename: SafeName, conflict: Conflict
    ) -> SafeName | None:
        """Reserve the name to publish under; see `Destination.reserve_name`."""
        known: dict[SafeName, bool] = {}
        while True:
            reserved = self._reservations.names_in(directory) if conflict is Conflict.RENAME else frozenset()

            def is_taken(name: SafeName, reserved: frozenset[SafeName] = reserved) -> bool:
                if name in reserved:
                    return True
                if name not in known:
                    raise _UnknownNameError(name)
                return known[name]

            try:
                chosen = resolve_conflict(
                    filename,
                    conflict,
                    path=join_path(directory, filename),
                    is_taken=is_taken,
                    max_name_bytes=storage.max_name_bytes(directory),
                )
            except _UnknownNameError as unknown:
                # The decision is made without I/O: it begins again when more is known.
                known[unknown.name] = await self.exists(storage, directory, unknown.name)
            else:
                if chosen is not None and conflict is Conflict.RENAME:
                    self._reservations.add(directory, chosen)
                return chosen

    def release(self, directory: SafeDirectory, filename: SafeName) -> None:
        """Release a reserved name; do nothing if it is not reserved."""
        self._reservations.discard(directory, filename)
