import gzip
import io

import pytest

from downloadd.import_operation import ImportErrorCode
from downloadd.imports.compressed_list import decompressed
from downloadd.imports.refusal import ImportRefusedError


@pytest.mark.parametrize("data", [b"", b"x", b"https://a.example/\n", b"\x1f"])
def test_a_file_that_is_not_compressed_is_itself(data: bytes) -> None:
    file = io.BytesIO(data)
    with decompressed(file, 10) as opened:
        assert opened is file
        assert opened.read() == data


def test_a_compressed_file_is_read_from_its_start() -> None:
    content = b"https://a.example/\n" * 50_000
    with decompressed(io.BytesIO(gzip.compress(content)), len(content)) as opened:
        opened.seek(0)
        assert opened.read() == content


def test_a_compressed_file_that_is_too_long_is_refused() -> None:
    data = gzip.compress(bytes(3 << 20))
    with pytest.raises(ImportRefusedError, match="longer than 2 MiB when it is decompressed") as caught:
        decompressed(io.BytesIO(data), 2 << 20).__enter__()
    assert caught.value.code is ImportErrorCode.FILE_TOO_LARGE


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"x" * 999)[:-9], b"\x1f\x8bx", gzip.compress(b"x")[:-8] + bytes(8)],
    # The compressed bytes have the time in them.
    ids=["cut", "no head", "wrong sum"],
)
def test_a_damaged_file_is_refused(data: bytes) -> None:
    with pytest.raises(ImportRefusedError, match="damaged or incomplete"):
        decompressed(io.BytesIO(data), 999).__enter__()
