"""Lines of a JSONL file, from pieces of its content.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

MAX_LINE_BYTES: Final = 16 << 20
"""Bytes of a line: a post of Mattermost is one with all of its replies."""


def read_json_lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number and the text of each line that is not empty; None for one longer than `MAX_LINE_BYTES`."""
    start: list[bytes] = []
    number, length = 1, 0
    for piece in chain(pieces, (b"\n",)):
        *complete, rest = piece.split(b"\n")
        for part in complete:
            length += len(part)
            if length > MAX_LINE_BYTES:
                yield number, None
            elif line := b"".join((*start, part)).strip():
                yield number, line
            start, length = [], 0
            number += 1
        length += len(rest)
        # The bytes of a line that is too long are not kept.
        start = [*start, rest] if length <= MAX_LINE_BYTES else []
