import bz2
import io
import lzma
from collections.abc import Callable

import pytest

from downloadd.imports.decompression import open_decompressed

CONTENT = bytes(range(256)) * 2000
PACKERS = pytest.mark.parametrize("pack", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])


def opened(data: bytes) -> io.RawIOBase:
    file = open_decompressed(io.BytesIO(data), data[:6])
    assert file is not None
    return file


@PACKERS
def test_the_content_can_be_read_in_any_order(pack: Callable[[bytes], bytes]) -> None:
    file = opened(pack(CONTENT))
    assert file.readable()
    assert file.seekable()
    assert file.read(10) == CONTENT[:10]
    assert file.seek(1000) == 1000
    assert file.read(100) == CONTENT[1000:1100]
    assert file.seek(-50, io.SEEK_CUR) == file.tell() == 1050
    assert file.read() == CONTENT[1050:]
    assert file.read(1) == b""
    file.seek(5)
    assert file.read(5) == CONTENT[5:10]


@PACKERS
def test_several_streams_are_one_content(pack: Callable[[bytes], bytes]) -> None:
    assert opened(pack(b"one") + pack(b"two")).read() == b"onetwo"


def test_zeros_between_streams_of_xz_are_padding() -> None:
    assert opened(lzma.compress(b"one") + b"\0" * 8 + lzma.compress(b"two") + b"\0" * 4).read() == b"onetwo"


@PACKERS
def test_a_truncated_file_is_an_error(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(EOFError):
        opened(pack(CONTENT)[:-10]).read()


@PACKERS
def test_what_follows_is_an_error_if_it_is_not_packed(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises((OSError, EOFError, lzma.LZMAError)):
        opened(pack(CONTENT) + b"garbage").read()


def test_a_file_that_needs_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 << 20, "preset": 0}]
    # Only the header states the size of the dictionary.
    data = lzma.compress(b"x", format=lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(lzma.LZMAError, match=r"[Mm]emory"):
        opened(data).read()


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x1f\x8b", b"plain text"])
def test_other_files_are_not_decompressed(data: bytes) -> None:
    assert open_decompressed(io.BytesIO(data), data) is None
