"""Records of known files in memory."""

from collections.abc import Sequence

from downloadd.download import Download


class FakeKnownFiles:
    """Fake of `KnownFileRecords`.

    Attributes:
        rows: completed downloads, newest end first.
    """

    def __init__(self) -> None:
        self.rows: list[Download] = []

    async def find(self, resource: str) -> Sequence[Download]:
        return [row for row in self.rows if row.result.resource == resource]
