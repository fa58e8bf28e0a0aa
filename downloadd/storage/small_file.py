"""A small file that is complete in memory, and the result of giving it its name."""

from enum import Enum

from downloadd.storage.names import SafeName
from downloadd.storage.part_file import PartFile
from downloadd.storage.unnamed_files import WrittenFile


class LinkResult(Enum):
    """Result of linking a small file."""

    PUBLISHED = "published"
    """The file has its name, and both are on stable storage."""
    TAKEN = "taken"
    """Another file has the name; the part holds its bytes still."""
    UNSUITABLE = "unsuitable"
    """It must be published as an ordinary part file; the part holds its bytes still."""


class SmallFile:
    """Held bytes of one part, with the name that they are to have.

    Attributes:
        identity: the identity of the file, once it is written; None before, and if it must be an ordinary part file.
    """

    __slots__ = ("filename", "identity", "last_modified", "part", "token", "written")

    def __init__(self, part: PartFile, filename: SafeName, last_modified: int | None) -> None:
        self.part = part
        self.filename = filename
        self.last_modified = last_modified
        self.identity: str | None = None
        self.token = 0
        self.written: WrittenFile | None = None

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.part.size
