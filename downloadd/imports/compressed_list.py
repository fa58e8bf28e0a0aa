"""Lists that are compressed by gzip, as aria2 saves a session whose name ends with `.gz`."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from downloadd.import_operation import ImportErrorCode
from downloadd.imports.refusal import ImportRefusedError

_GZIP: Final = b"\x1f\x8b"
_CHUNK_BYTES: Final = 256 * 1024


@contextmanager
def decompressed(file: BinaryIO, max_bytes: int) -> Iterator[BinaryIO]:
    """Yield the file, or a temporary one with its content if it is compressed. Blocks.

    Raises:
        ImportRefusedError: the content is damaged, or longer than `max_bytes`.
    """
    file.seek(0)
    is_compressed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if not is_compressed:
        yield file
        return
    with tempfile.TemporaryFile() as target:
        try:
            with gzip.GzipFile(fileobj=file) as source:
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk)
                    if target.tell() > max_bytes:
                        raise ImportRefusedError(
                            f"the list is longer than {max_bytes >> 20} MiB when it is decompressed",
                            ImportErrorCode.FILE_TOO_LARGE,
                        )
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise ImportRefusedError("the list is compressed by gzip, and damaged or incomplete") from None
        yield target
