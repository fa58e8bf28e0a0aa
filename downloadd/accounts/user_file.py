"""File `users.toml` in the state directory: users that `downloadctl users` makes, beside those of the configuration.

It has tables `[[users]]` as the configuration has. The daemon applies a change of it by itself.
"""

import fcntl
import json
import os
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from downloadd.accounts.first_user import TOKEN_FILE_NAME
from downloadd.config import USER_FILE_NAME, UserConfig
from downloadd.errors import StartupError
from downloadd.stable_storage import sync_directory

_HEADER: Final = "# Made by `downloadctl users`, which changes it. Users of the configuration are not here.\n"
RETIRED_FILE_NAME: Final = f"{USER_FILE_NAME}.moved"
"""Name of the file after its users were moved to the records of several nodes."""

UserFiles = tuple[tuple[int, int, int] | None, ...]
"""State of the files with users: inode, time of modification and size of each; None for a missing one."""


class _UserTables(msgspec.Struct, frozen=True, kw_only=True):
    users: tuple[UserConfig, ...] = ()


def read_users(state_dir: Path) -> tuple[UserConfig, ...]:
    """Return the users of the file; none if it is missing. Blocks.

    Raises:
        StartupError: the file cannot be read, or is malformed.
    """
    file = state_dir / USER_FILE_NAME
    try:
        return msgspec.convert(tomllib.loads(file.read_text("utf-8")), _UserTables).users
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StartupError(f"{file} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise StartupError(f"{file} is malformed: {error}") from error


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


def retire_users(state_dir: Path, users: Sequence[UserConfig]) -> bool:
    """Rename the file of users that are elsewhere now; return False if it has others by now. Blocks.

    Raises:
        StartupError: the file cannot be read or renamed.
    """
    with locked_users(state_dir):
        if read_users(state_dir) != tuple(users):
            return False
        file = state_dir / USER_FILE_NAME
        try:
            os.rename(file, state_dir / RETIRED_FILE_NAME)
            sync_directory(state_dir)
        except OSError as error:
            raise StartupError(f"{file} cannot be renamed: {error.strerror or error}") from error
    return True


def stat_user_files(state_dir: Path) -> UserFiles:
    """Return what changes with the users of the state directory: those of the file, and the first one. Blocks."""
    return tuple(_stat(state_dir / name) for name in (USER_FILE_NAME, TOKEN_FILE_NAME))


def _stat(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _format_user(user: UserConfig) -> str:
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in msgspec.to_builtins(user).items())
    return f"\n[[users]]\n{''.join(lines)}"
