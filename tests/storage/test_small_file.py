"""Small files in memory."""

from support.sample_downloads import sample_download

from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.small_file import LinkResult, SmallFile

FILE = parse_filename("f")


async def test_a_small_file_has_the_bytes_of_its_part_and_no_identity_before_it_is_written(
    destination: LocalDestination,
) -> None:
    part = await destination.open_part(
        directory="d", filename=FILE, download_id=sample_download().id, epoch=1, existing=None
    )
    file = SmallFile(part, FILE, last_modified=5)
    assert (file.size, file.identity, file.written) == (0, None, None)
    await part.write([b"abc"], 0)
    assert file.size == part.size == 3
    assert (file.filename, file.last_modified) == ("f", 5)
    await part.close()


def test_each_result_says_if_the_part_holds_its_bytes_still() -> None:
    assert [result.value for result in LinkResult] == ["published", "taken", "unsuitable"]
