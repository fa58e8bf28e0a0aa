"""Where the daemon is heard, left in its state directory for programs of the same machine."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

ADDRESS_FILE_NAME: Final = "address"
_MAX_FILE_BYTES: Final = 4096


def write_address(state_dir: Path, url: str) -> None:
    """Writes the address of a daemon that is heard now, in place of another one. Blocks.

    Raises:
        OSError: the directory cannot be written to.
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
    """The daemon is heard no more. What a killed one has left is replaced by the next. Blocks."""
    with suppress(OSError):
        os.unlink(state_dir / ADDRESS_FILE_NAME)


def read_address(state_dir: Path) -> str | None:
    """The address that a daemon has left; None when there is none that may be read. Blocks."""
    try:
        with open(state_dir / ADDRESS_FILE_NAME, encoding="utf-8") as stream:
            return stream.read(_MAX_FILE_BYTES).strip() or None
    except (OSError, UnicodeDecodeError):
        return None
