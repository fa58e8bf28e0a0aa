"""Names of archives that can be extracted.

The name decides, not the content: documents, programs and books are zip archives too.

Pure: no I/O and no clock.
"""

from typing import Final

ARCHIVE_SUFFIXES: Final = (
    *(".zip", ".tar"),
    *(".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"),
    *(".7z", ".rar"),
)


def archive_stem(filename: str) -> str | None:
    """Return the name without the suffix of an archive; None if it has none, or nothing else."""
    lower = filename.lower()
    stems = (filename[: -len(suffix)] for suffix in ARCHIVE_SUFFIXES if lower.endswith(suffix))
    return next(stems, None) or None
