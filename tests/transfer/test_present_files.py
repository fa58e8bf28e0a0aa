"""Comparison of the file that has the name of a download with a representation."""

import asyncio
import hashlib
from typing import cast

import pytest
from support.downloads import with_fields
from support.fake_known_files import FakeKnownFiles
from support.sample_downloads import sample_download
from support.virtual_time import in_virtual_time

from downloadd.download import Download, OriginDigest
from downloadd.errors import StorageError
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.present_file import PresentFile
from downloadd.transfer.known_content import resource_of_url
from downloadd.transfer.present_files import Comparison, PresentFileCheck, PresentFiles, reading_limited
from downloadd.transfer.representation import Representation

URL = "https://example.com/f"
CONTENT = b"abc"
CHECKSUM = f"sha-256={hashlib.sha256(CONTENT).hexdigest()}"
FOUND = Representation(total=3, validator='"v"')
NEW = with_fields(sample_download(), directory="d", filename="f", url=URL, skip_same=True)


@pytest.fixture
def known() -> FakeKnownFiles:
    return FakeKnownFiles()


@pytest.fixture
async def files(destination: LocalDestination, known: FakeKnownFiles) -> PresentFiles:
    """Return the files of a storage with one file, whose download is known."""
    name = parse_filename("f")
    part = await destination.open_part(directory="d", filename=name, download_id=NEW.id, epoch=1, existing=None)
    await part.write([CONTENT], 0)
    assert await part.publish(name, replace=False, last_modified=None)
    known.rows.append(
        with_fields(
            sample_download(state=State.COMPLETED),
            directory="d",
            filename="f",
            url=URL,
            validator='"v"',
            total=3,
            file_identity=part.file_identity,
            resource=resource_of_url(URL),
        )
    )
    return PresentFiles(destination.finished_files, known)


async def compare(files: PresentFiles, download: Download = NEW, found: Representation = FOUND) -> Comparison:
    return await PresentFileCheck(files).compare(download, found, url=URL, final_url_digest=None)


async def test_the_version_of_its_download_decides(files: PresentFiles, known: FakeKnownFiles) -> None:
    assert await compare(files) is Comparison.SAME
    assert await compare(files, NEW.with_request(skip_same=False)) is Comparison.OTHER
    assert await compare(files, with_fields(NEW, filename="g")) is Comparison.OTHER
    known.rows[0] = with_fields(known.rows[0], filename="g")
    assert await compare(files) is Comparison.OTHER


async def test_an_identity_that_is_not_recorded_exactly_proves_nothing(
    files: PresentFiles, known: FakeKnownFiles
) -> None:
    inode, _, rest = (known.rows[0].result.file_identity or "").partition("-")
    for identity in (f"{int(inode) + 1}-{rest}", None):
        known.rows[0] = with_fields(known.rows[0], file_identity=identity)
        assert await compare(files) is Comparison.OTHER


async def test_a_digest_is_compared_later_and_once(files: PresentFiles, known: FakeKnownFiles) -> None:
    known.rows.clear()
    other = OriginDigest(source="Digest", checksum="md5=0")
    found = Representation(total=3, origin_digests=(other, OriginDigest(source="Repr-Digest", checksum=CHECKSUM)))
    check = PresentFileCheck(files)
    assert await check.compare(NEW, found, url=URL, final_url_digest=None) is Comparison.UNDECIDED
    # The strongest one.
    assert await check.is_same_by_checksum(NEW)
    assert await check.compare(NEW, found, url=URL, final_url_digest=None) is Comparison.OTHER
    assert not await check.is_same_by_checksum(NEW)


async def test_a_requested_checksum_decides_before_the_version(files: PresentFiles) -> None:
    for checksum, is_same in ((CHECKSUM, True), (f"sha-256={'0' * 64}", False)):
        download = NEW.with_request(requested_checksum=checksum)
        check = PresentFileCheck(files)
        assert await check.compare(download, FOUND, url=URL, final_url_digest=None) is Comparison.UNDECIDED
        assert await check.is_same_by_checksum(download) is is_same
        assert await PresentFileCheck(files).is_same_by_request(download) is is_same


async def test_the_bytes_of_a_part_are_compared(destination: LocalDestination, files: PresentFiles) -> None:
    for content, is_same in ((CONTENT, True), (b"abd", False), (b"abcd", False)):
        part = await destination.open_part(
            directory="d", filename=parse_filename("f"), download_id=NEW.id, epoch=2, existing=None
        )
        await part.write([content], 0, is_last=True)
        assert await files.has_content(NEW, part) is is_same
        assert not await files.has_content(with_fields(NEW, filename="g"), part)
        await part.remove()


class FakePresentFile:
    """File with a size only."""

    size = 3


@in_virtual_time
async def test_reading_has_a_time_limit() -> None:
    with pytest.raises(StorageError, match="could not be read") as raised:
        async with reading_limited(cast(PresentFile, FakePresentFile()), "f"):
            await asyncio.sleep(61)
    assert raised.value.transient
