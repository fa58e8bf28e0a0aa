"""Lines of a JSONL file, from pieces of its content.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Iterator
from typing import Final

MAX_LINE_BYTES: Final = 16 << 20
"""Bytes of a line: a post of Mattermost is one with all of its replies."""


def read_json_lines(pieces: Iterable[bytes]) -> Iterator[bytes | None]:
    """Yield each line that is not empty, without its end; None for one that is longer than `MAX_LINE_BYTES`."""
    start: list[bytes] = []
    length = 0
    for piece in pieces:
        *complete, rest = piece.split(b"\n")
        for part in complete:
            length += len(part)
            if length > MAX_LINE_BYTES:
                yield None
            elif line := b"".join((*start, part)).strip():
                yield line
            start, length = [], 0
        length += len(rest)
        # The bytes of a line that is too long are not kept.
        start = [*start, rest] if length <= MAX_LINE_BYTES else []
    if length > MAX_LINE_BYTES:
        yield None
    elif line := b"".join(start).strip():
        yield line
