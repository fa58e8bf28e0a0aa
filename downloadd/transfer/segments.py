"""Which connection fetches which bytes.

Pure: no I/O and no clock.
"""


class Segment:
    """The bytes that one connection fetches.

    Attributes:
        position: the next byte to be written to the part file.
        reach: the next byte to be taken from the connection; what lies between the two is in memory.
        end: the first byte that is not wanted any more, half-open; None when only the end of the content tells.
    """

    __slots__ = ("end", "position", "reach")

    def __init__(self, start: int, end: int | None = None) -> None:
        self.position = start
        self.reach = start
        self.end = end

    @property
    def wanted(self) -> int | None:
        """Bytes that are still to be taken; None when only the end of the content tells."""
        return None if self.end is None else max(0, self.end - self.reach)
