"""Verification of an import file that was downloaded."""

import hashlib
from collections.abc import AsyncIterator

import pytest
from support.downloads import make_download

from downloadd.download import Download
from downloadd.errors import StorageError
from downloadd.imports.fetched_file import verify_fetched
from downloadd.imports.refusal import ImportRefusedError

CONTENT = b"the fetched file"


async def pieces(*given: bytes | Exception) -> AsyncIterator[bytes]:
    for piece in given:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def download(checksum: str | None) -> Download:
    return make_download(
        id="1",
        user="u",
        url="http://a/",
        redacted_url="http://a/",
        origin="a",
        directory="Imports",
        filename="x",
        timeout=0,
        start_time=0,
        received=len(CONTENT),
        checksum=checksum,
    )


SHA_256 = f"sha-256={hashlib.sha256(CONTENT).hexdigest()}"
CHECKSUMS = pytest.mark.parametrize("checksum", [None, SHA_256, "md5=00"])


@CHECKSUMS
async def test_the_downloaded_file_is_read(checksum: str | None) -> None:
    read = [piece async for piece in verify_fetched(pieces(CONTENT[:5], CONTENT[5:]), download(checksum))]
    assert b"".join(read) == CONTENT


@CHECKSUMS
@pytest.mark.parametrize("other", [CONTENT + b"!", CONTENT[:-1], b""])
async def test_a_file_of_another_length_in_its_place_is_refused(checksum: str | None, other: bytes) -> None:
    with pytest.raises(ImportRefusedError, match="another file"):
        assert [piece async for piece in verify_fetched(pieces(other), download(checksum))]


async def test_a_file_of_another_content_in_its_place_is_refused() -> None:
    with pytest.raises(ImportRefusedError, match="another file"):
        assert [piece async for piece in verify_fetched(pieces(CONTENT[::-1]), download(SHA_256))]


async def test_a_missing_file_fails_the_import() -> None:
    with pytest.raises(ImportRefusedError, match="cannot be read"):
        assert [piece async for piece in verify_fetched(pieces(StorageError("it is missing")), download(None))]
