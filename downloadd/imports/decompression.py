"""Seekable content of a compressed file, with a limit on the memory of its decompressor; blocks."""

import bz2
import io
import lzma
from collections.abc import Callable
from typing import BinaryIO, Final, Protocol

MAX_DECOMPRESSOR_BYTES: Final = 256 << 20
"""Memory of a decompressor; `xz -9` needs 65 MiB, and a file can demand 4 GiB."""
BZIP2_SIGNATURE: Final = b"BZh"
XZ_SIGNATURE: Final = b"\xfd7zXZ\0"
_CHUNK_BYTES: Final = 256 * 1024


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class DecompressedFile(io.RawIOBase):
    """Content of a compressed file; to go back, it is decompressed from its start again.

    Reading raises `EOFError` if the file is truncated, and what the decompressor raises if it is damaged.
    """

    def __init__(self, file: BinaryIO, make_decompressor: Callable[[], _Decompressor]) -> None:
        super().__init__()
        self._file = file
        self._make_decompressor = make_decompressor
        self._rewind()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the content."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, from the start of the content or from the present one."""
        target = offset + (self._position if whence == io.SEEK_CUR else 0)
        if target < self._position:
            self._rewind()
        while self._position < target and self.read(min(_CHUNK_BYTES, target - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, or fewer at the end."""
        data = bytearray()
        while size < 0 or len(data) < size:
            piece = self._read_piece(_CHUNK_BYTES if size < 0 else size - len(data))
            if not piece:
                break
            data += piece
        self._position += len(data)
        return bytes(data)

    def _rewind(self) -> None:
        self._file.seek(0)
        self._decompressor = self._make_decompressor()
        self._position = 0

    def _read_piece(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        while True:
            if self._decompressor.eof:
                # A file may have several streams, one behind the other; zeros pad those of xz.
                packed = (self._decompressor.unused_data or self._file.read(_CHUNK_BYTES)).lstrip(b"\0")
                if not packed:
                    return b""
                self._decompressor = self._make_decompressor()
            else:
                packed = self._file.read(_CHUNK_BYTES) if self._decompressor.needs_input else b""
                if not packed and self._decompressor.needs_input:
                    raise EOFError("the compressed file is truncated")
            if piece := self._decompressor.decompress(packed, size):
                return piece


def open_decompressed(file: BinaryIO, signature: bytes) -> DecompressedFile | None:
    """Return the content of a file that begins with `signature`; None if it is packed neither by bzip2 nor by xz."""
    if signature.startswith(BZIP2_SIGNATURE):
        return DecompressedFile(file, bz2.BZ2Decompressor)
    if signature.startswith(XZ_SIGNATURE):
        return DecompressedFile(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DECOMPRESSOR_BYTES))
    return None
