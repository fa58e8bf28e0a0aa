"""File in the state directory with the address of the daemon, for programs of the same machine."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

ADDRESS_FILE_NAME: Final = "address"
_MAX_FILE_BYTES: Final = 4096


def write_address(state_dir: Path, url: str) -> None:
    """Write the address of a daemon that listens, in place of an earlier one. Blocks.

    Raises:
        OSError: the directory is not writable.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{ADDRESS_FILE_NAME}.", dir=state_dir)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(f"{url}\n")
        os.rename(temporary, state_dir / ADDRESS_FILE_NAME)
    except BaseException:
        os.unlink(temporary)
        raise


def remove_address(state_dir: Path) -> None:
    """Remove the address of a daemon that stops; the next one replaces that of a killed daemon. Blocks."""
    with suppress(OSError):
        os.unlink(state_dir / ADDRESS_FILE_NAME)


def read_address(state_dir: Path) -> str | None:
    """Return the address of the daemon; None if there is no file or it is not readable. Blocks."""
    try:
        with open(state_dir / ADDRESS_FILE_NAME, encoding="utf-8") as stream:
            return stream.read(_MAX_FILE_BYTES).strip() or None
    except (OSError, UnicodeDecodeError):
        return None
