"""Rules for object storages that concern several values.

Pure: no I/O and no clock.
"""

from collections.abc import Iterator, Sequence

from downloadd.config.storage_settings import RemoteStorageConfig


def storage_problems(storage: RemoteStorageConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of settings of one storage that do not fit together."""
    if not storage.path:
        yield ("path", "expected a directory below the storage root, not the root itself")
    for name, other in (("access_key_id", "secret_access_key"), ("secret_access_key", "access_key_id")):
        if getattr(storage, name) and not getattr(storage, other):
            yield (name, f"is given without {other}")
    if storage.session_token and not storage.access_key_id:
        yield ("session_token", "is given without access_key_id")
    if storage.access_key_id and storage.credentials_file:
        yield ("credentials_file", "is given beside access_key_id; remove one of them")
    if storage.profile != "default" and not storage.credentials_file:
        yield ("profile", "is given without credentials_file")
    if any(not each.isascii() or not each.isprintable() for each in _secrets(storage)):
        yield ("", "has a credential with a character that cannot be sent: only printable ASCII can")


def find_enclosing(path: str, others: Sequence[str]) -> str | None:
    """Return the first of other directories that a directory lies in; None if it lies in none."""
    return next((other for other in others if other and path.startswith(f"{other}/")), None)


def is_inside(directory: str, paths: Sequence[str]) -> bool:
    """Return True if a directory is one of some paths or below it."""
    return any(directory == path or directory.startswith(f"{path}/") for path in paths if path)


def _secrets(storage: RemoteStorageConfig) -> tuple[str, ...]:
    return storage.access_key_id, storage.secret_access_key, storage.session_token
