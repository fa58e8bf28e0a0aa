"""File `users.toml` in the state directory: users that `downloadctl users` makes, beside those of the configuration.

It has tables `[[users]]` as the configuration has. The daemon applies a change of it by itself.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from downloadd.config import USER_FILE_NAME, UserConfig, load_users
from downloadd.errors import StartupError
from downloadd.stable_storage import sync_directory

_HEADER: Final = "# Made by `downloadctl users`, which changes it. Users of the configuration are not here.\n"
RETIRED_FILE_NAME: Final = f"{USER_FILE_NAME}.moved"
"""Name of the file after its users were moved to the records of several nodes."""

_CLAIMED_FILE_NAME: Final = f"{USER_FILE_NAME}.moving"
"""Name of the file while its users are moved."""


def read_users(state_dir: Path) -> tuple[UserConfig, ...]:
    """Return the users of the file; none if it is missing. Blocks.

    Raises:
        StartupError: the file cannot be read, or is malformed.
    """
    return _read_file(state_dir / USER_FILE_NAME)


def _read_file(file: Path) -> tuple[UserConfig, ...]:
    try:
        return load_users(file)
    except OSError as error:
        raise StartupError(f"{file} cannot be read: {error.strerror or error}") from error


def write_users(state_dir: Path, users: Sequence[UserConfig]) -> None:
    """Replace the users of the file (mode 0600, owner of the directory), on stable storage on return. Blocks.

    Raises:
        StartupError: the file cannot be written.
    """
    file = state_dir / USER_FILE_NAME
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{USER_FILE_NAME}.", dir=state_dir)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(_HEADER + "".join(map(_format_user, users)))
                stream.flush()
                # An administrator may call it for the daemon of another user.
                owner = os.stat(state_dir)
                with suppress(PermissionError):
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.fsync(stream.fileno())
            os.rename(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise StartupError(f"{file} cannot be written: {error.strerror or error}") from error


@contextmanager
def locked_users(state_dir: Path) -> Iterator[None]:
    """Lock the users of a state directory against changes by other processes and threads. Blocks.

    Raises:
        StartupError: the directory cannot be used.
    """
    try:
        descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StartupError(f"{state_dir} cannot be used: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def claim_users(state_dir: Path) -> tuple[UserConfig, ...]:
    """Return the users that are to be moved elsewhere, and put their file aside until `retire_users`. Blocks.

    A file that was put aside before comes first; call it again for the other one.

    Raises:
        StartupError: the file cannot be read or renamed, so that its users must not be moved: they would come back.
    """
    file, claimed = state_dir / USER_FILE_NAME, state_dir / _CLAIMED_FILE_NAME
    with locked_users(state_dir):
        if claimed.exists():
            return _read_file(claimed)
        users = _read_file(file)
        if users:
            _rename(file, claimed)
    return users


def retire_users(state_dir: Path) -> Path:
    """Rename the file that `claim_users` has put aside, and return its name; earlier ones stay. Blocks.

    Raises:
        StartupError: the file cannot be renamed.
    """
    with locked_users(state_dir):
        retired = state_dir / RETIRED_FILE_NAME
        number = 1
        while retired.exists():
            number += 1
            retired = state_dir / f"{RETIRED_FILE_NAME}-{number}"
        _rename(state_dir / _CLAIMED_FILE_NAME, retired)
    return retired


def _rename(file: Path, target: Path) -> None:
    try:
        os.rename(file, target)
        sync_directory(file.parent)
    except OSError as error:
        raise StartupError(f"{file} cannot be renamed: {error.strerror or error}") from error


def stat_file(file: Path) -> tuple[int, ...] | None:
    """Return what changes with a file: inode, time of modification and size; None if it is missing. Blocks.

    Raises:
        OSError: the directory cannot be used.
    """
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _format_user(user: UserConfig) -> str:
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in msgspec.to_builtins(user).items())
    return f"\n[[users]]\n{''.join(lines)}"
