"""Storage root that waits for its confirmation."""

from downloadd.root_identity import RootIdentity


class FakeStorage:
    """Fake of `StorageControl`.

    Attributes:
        problem: why no download starts.
    """

    def __init__(self) -> None:
        self.problem: str | None = None

    async def accept(self) -> RootIdentity:
        self.problem = None
        return RootIdentity(marker="m", path="/srv", device="8:1", filesystem="ext4")
