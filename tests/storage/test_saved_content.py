import pytest

from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.saved_content import is_saved
from downloadd.verify import format_checksum

FILE = parse_filename("f")
CHECKSUM = format_checksum("sha-256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
"""That of `test`."""


@pytest.mark.parametrize(("content", "expected"), [(b"test", True), (b"tesT", False)])
async def test_a_file_is_recognized_by_its_checksum(
    destination: LocalDestination, content: bytes, *, expected: bool
) -> None:
    part = await destination.open_part(
        directory="d", filename=FILE, download_id="0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b", epoch=1, existing=None
    )
    await part.write([content], 0)
    assert await part.publish(FILE, replace=True, last_modified=None)
    assert await is_saved(destination, directory="d", filename=FILE, checksum=CHECKSUM) is expected


async def test_a_missing_file_is_not_it(destination: LocalDestination) -> None:
    assert not await is_saved(destination, directory="d", filename=FILE, checksum=CHECKSUM)
