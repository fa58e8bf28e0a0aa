"""Digests that are computed while a file is written from its start on, so that nobody has to read it again.

Pure: no I/O and no clock. For one thread at a time.
"""

import hashlib
from collections.abc import Iterable, Sequence

from downloadd.verify import ALGORITHMS


class RunningDigests:
    """The digests of the first `position` bytes of a file.

    Attributes:
        position: bytes; what is written elsewhere is not counted in.
    """

    def __init__(self, algorithms: Iterable[str]) -> None:
        """Digests of no bytes yet; algorithms as in `verify.ALGORITHMS`."""
        self._digests = {name: hashlib.new(ALGORITHMS[name], usedforsecurity=False) for name in algorithms}
        self.position = 0

    @property
    def algorithms(self) -> frozenset[str]:
        """What is computed."""
        return frozenset(self._digests)

    def update(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        """Takes bytes that were written at `offset`, if they go on where the last ones ended."""
        if offset != self.position or not self._digests:
            return
        for piece in pieces:
            for digest in self._digests.values():
                digest.update(piece)
            self.position += len(piece)

    def hexdigest(self, algorithm: str) -> str:
        """The digest in lower-case hex."""
        return self._digests[algorithm].hexdigest()
