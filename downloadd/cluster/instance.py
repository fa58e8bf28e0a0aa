"""Id of the state directory, by which a node proves at its start that it succeeds the one that had its name."""

import os
import tempfile
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from downloadd.errors import StartupError

INSTANCE_FILE_NAME: Final = "instance"


def ensure_instance_id(state_dir: Path) -> str:
    """Return the id of a state directory that this process has locked; a first one is on stable storage. Blocks.

    Raises:
        StartupError: the file cannot be read or written.
    """
    path = state_dir / INSTANCE_FILE_NAME
    try:
        known = _read(path)
        if known is None:
            known = str(uuid4())
            _write(path, known)
    except OSError as error:
        raise StartupError(f"cannot use {path}: {error.strerror}; correct its owner and mode") from error
    return known


def _read(path: Path) -> str | None:
    """Return the id in a file; None if there is none, or if it is damaged."""
    try:
        return str(UUID(path.read_text(encoding="ascii").strip()))
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, content: str) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{content}\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
