"""Names that the part files of one download have, by epoch: each run renames the part file to its own.

Pure: no I/O and no clock.
"""

import msgspec

from downloadd.storage.names import PartName, SafeName, check_part_name, format_part_name, part_epoch


class PartNames(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the part files of one download."""

    filename: SafeName
    """The final name."""
    download_id: str
    max_bytes: int
    """Bytes of the longest name that the file system takes."""

    def name(self, epoch: int, restart: int = 0) -> PartName:
        """Return the name in one epoch; `restart` counts the part files of a run."""
        return format_part_name(self.filename, self.download_id, epoch, restart, max_bytes=self.max_bytes)

    def possible(self, recorded: str, *, before: int) -> list[PartName]:
        """Return the names that a part file may have: the recorded one, and those of later epochs `before` another.

        A run that was killed between the adoption of a part file and its first record has left it under its own epoch.

        Raises:
            InvalidPathError: `recorded` is not the name of a part file.
        """
        earlier = check_part_name(recorded)
        return [earlier, *map(self.name, range(part_epoch(earlier) + 1, before))]
