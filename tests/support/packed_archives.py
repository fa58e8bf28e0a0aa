"""7z and RAR archives for tests, with any names, kinds and sizes."""

import io
import lzma
import struct
import zlib
from collections.abc import Collection, Mapping
from typing import Final

MIB_DICTIONARY: Final = 16
"""Size of the dictionary of LZMA2, as its property states it: 1 MiB."""
FOUR_GIB: Final = 40
"""Size of the largest dictionary."""
_LINK_ATTRIBUTES: Final = 0o120777 << 16 | 0x8000
_FILE_ATTRIBUTES: Final = 0o100644 << 16 | 0x8000


def make_7z(files: Mapping[str, bytes], *, links: Collection[str] = (), dictionary: int = MIB_DICTIONARY) -> bytes:
    """Return a 7z archive, solid and packed by LZMA2 (https://py7zr.readthedocs.io/en/latest/archive_format.html).

    The contents of `links` are targets; `dictionary` is stated, and not used.
    """
    contents = [content for content in files.values() if content]
    packed = lzma.compress(
        b"".join(contents), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    )
    folder = b"".join((_long(1), b"\x21\x21", _long(1), bytes((dictionary,))))
    crcs = b"".join(struct.pack("<I", zlib.crc32(content)) for content in contents)
    names = b"\x00" + b"".join(name.encode("utf-16-le") + b"\x00\x00" for name in files)
    attributes = b"\x01\x00" + b"".join(
        struct.pack("<I", _LINK_ATTRIBUTES if name in links else _FILE_ATTRIBUTES) for name in files
    )
    empty = _bits([not content for content in files.values()])
    empty_files = _bits([True for content in files.values() if not content])
    header = b"".join(
        (
            b"\x01\x04",
            *(b"\x06", _long(0), _long(1), b"\x09", _long(len(packed)), b"\x00"),
            *(b"\x07\x0b", _long(1), b"\x00", folder, b"\x0c", _long(sum(map(len, contents))), b"\x00"),
            *(b"\x08\x0d", _long(len(contents)), b"\x09", *(_long(len(content)) for content in contents[:-1])),
            *(b"\x0a\x01", crcs, b"\x00", b"\x00"),
            *(b"\x05", _long(len(files))),
            *(b"\x0e", _long(len(empty)), empty, b"\x0f", _long(len(empty_files)), empty_files),
            *(b"\x11", _long(len(names)), names, b"\x15", _long(len(attributes)), attributes),
            b"\x00\x00",
        )
    )
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return b"".join((b"7z\xbc\xaf\x27\x1c\x00\x04", struct.pack("<I", zlib.crc32(start)), start, packed, header))


def make_rar(files: Mapping[str, bytes], *, declared: int | None = None) -> bytes:
    """Return a RAR 5 archive of stored files (https://www.rarlab.com/technote.htm).

    `declared` replaces the unpacked size of each file.
    """
    archive = io.BytesIO()
    archive.write(b"Rar!\x1a\x07\x01\x00")
    archive.write(_block(1, 0, _varint(0)))
    for name, content in files.items():
        size = len(content) if declared is None else declared
        encoded = name.encode()
        # It has a CRC-32, is stored, and was made on Unix.
        checksum = struct.pack("<I", zlib.crc32(content))
        fields = (_varint(4), _varint(size), _varint(0o100644), checksum, _varint(0), _varint(1))
        archive.write(_block(2, 2, b"".join((*fields, _varint(len(encoded)), encoded)), len(content)))
        archive.write(content)
    archive.write(_block(5, 0, _varint(0)))
    return archive.getvalue()


def _block(kind: int, flags: int, fields: bytes, data_size: int | None = None) -> bytes:
    header = _varint(kind) + _varint(flags) + (b"" if data_size is None else _varint(data_size)) + fields
    sized = _varint(len(header)) + header
    return struct.pack("<I", zlib.crc32(sized)) + sized


def _varint(value: int) -> bytes:
    """Return an integer of RAR: seven bits in each byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def _long(value: int) -> bytes:
    """Return an integer of 7z."""
    return bytes((value,)) if value < 0x80 else b"\xff" + struct.pack("<Q", value)


def _bits(flags: list[bool]) -> bytes:
    """Return flags as bits, the highest first."""
    flags = [*flags, *[False] * (-len(flags) % 8)]
    return bytes(
        sum(flag << (7 - bit) for bit, flag in enumerate(flags[start : start + 8])) for start in range(0, len(flags), 8)
    )
