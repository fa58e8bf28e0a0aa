"""Rules for storages on other machines that concern several values.

Pure: no I/O and no clock.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import fields

from downloadd.config.storage_settings import RemoteStorageConfig

_OBJECT_FIELDS: Final = (
    "endpoint",
    "region",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "credentials_file",
    "profile",
)
_SFTP_FIELDS: Final = ("private_key_file", "passphrase", "password", "known_hosts_file")
_DEFAULTS: Final = {field.name: field.default for field in fields(RemoteStorageConfig)}


def storage_problems(storage: RemoteStorageConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of settings of one storage that do not fit together."""
    if not storage.path:
        yield ("path", "expected a directory below the storage root, not the root itself")
    yield from _sftp_problems(storage) if storage.url.startswith("sftp:") else _object_problems(storage)
    if any(not each.isascii() or not each.isprintable() for each in _secrets(storage)):
        yield ("", "has a credential with a character that cannot be sent: only printable ASCII can")


def _sftp_problems(storage: RemoteStorageConfig) -> Iterator[tuple[str, str]]:
    for name in _OBJECT_FIELDS:
        if getattr(storage, name) != _DEFAULTS[name]:
            yield (name, "is for S3 only; remove it, or give an s3:// url")
    if storage.passphrase and not storage.private_key_file:
        yield ("passphrase", "is given without private_key_file")


def _object_problems(storage: RemoteStorageConfig) -> Iterator[tuple[str, str]]:
    for name in _SFTP_FIELDS:
        if getattr(storage, name) != _DEFAULTS[name]:
            yield (name, "is for SFTP only; remove it, or give an sftp:// url")
    for name, other in (("access_key_id", "secret_access_key"), ("secret_access_key", "access_key_id")):
        if getattr(storage, name) and not getattr(storage, other):
            yield (name, f"is given without {other}")
    if storage.session_token and not storage.access_key_id:
        yield ("session_token", "is given without access_key_id")
    if storage.access_key_id and storage.credentials_file:
        yield ("credentials_file", "is given beside access_key_id; remove one of them")
    if storage.profile != "default" and not storage.credentials_file:
        yield ("profile", "is given without credentials_file")


def find_enclosing(path: str, others: Sequence[str]) -> str | None:
    """Return the first of other directories that a directory lies in; None if it lies in none."""
    return next((other for other in others if other and path.startswith(f"{other}/")), None)


def is_inside(directory: str, paths: Sequence[str]) -> bool:
    """Return True if a directory is one of some paths or below it."""
    return any(directory == path or directory.startswith(f"{path}/") for path in paths if path)


def _secrets(storage: RemoteStorageConfig) -> tuple[str, ...]:
    return storage.access_key_id, storage.secret_access_key, storage.session_token
