"""Archives of any format."""

import io
import tarfile

import pytest
from support.import_files import packed

from downloadd.imports.archives import open_archive
from downloadd.imports.refusal import ImportRefusedError


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as target:
        for name in ("a", "b"):
            info = tarfile.TarInfo(name)
            info.size = 3
            target.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()


@pytest.mark.parametrize("data", [packed({"a": b"abc", "b": b"abc"}), tar()], ids=["zip", "tar"])
def test_files_of_each_format_are_read(data: bytes) -> None:
    archive = open_archive(io.BytesIO(data))
    assert b"".join(archive.pieces("a")) == b"abc"
    assert archive.size("b") == 3
    assert archive.position("a") < archive.position("b")
    archive.close()


def test_another_file_is_refused() -> None:
    with pytest.raises(ImportRefusedError):
        open_archive(io.BytesIO(b"neither"))
