"""Digests of a file, computed while it is written, so that it is not read again.

Pure: no I/O and no clock. For one thread at a time.
"""

import hashlib
from collections.abc import Iterable, Sequence

from downloadd.verify import ALGORITHMS


class RunningDigests:
    """Digests of the first `position` bytes of a file.

    Attributes:
        position: bytes hashed so far; bytes that are written elsewhere are not hashed.
    """

    def __init__(self, algorithms: Iterable[str]) -> None:
        """Start with no bytes; algorithms as in `verify.ALGORITHMS`."""
        self._digests = {name: hashlib.new(ALGORITHMS[name], usedforsecurity=False) for name in algorithms}
        self.position = 0

    @property
    def algorithms(self) -> frozenset[str]:
        """Algorithms that are computed."""
        return frozenset(self._digests)

    def update(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        """Hash bytes that were written at `offset`, if they continue the bytes hashed so far."""
        if offset != self.position or not self._digests:
            return
        for piece in pieces:
            for digest in self._digests.values():
                digest.update(piece)
            self.position += len(piece)

    def hexdigest(self, algorithm: str) -> str:
        """Return the digest in lower-case hex."""
        return self._digests[algorithm].hexdigest()
