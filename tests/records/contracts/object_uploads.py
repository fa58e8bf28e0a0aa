"""Contract of `UploadRecords`."""

from collections.abc import Sequence

from msgspec.structs import replace
from support.clocks import NOW
from support.downloads import with_fields
from support.stored_downloads import added, sample_download
from support.stores import OpenStore

from downloadd.records.store import Store
from downloadd.remote_upload import RemoteUpload, UploadedPart
from downloadd.states import State

UPLOAD = RemoteUpload(
    download_id="0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b",
    storage="s3://bucket",
    key="ü/a",
    size=2**40,
    sha256="0" * 64,
    part_size=5 << 20,
    begun=10.5,
)
PARTS = [UploadedPart(number=n, etag=f"e{n}", checksum="c=") for n in (1, 2)]


class UploadContract:
    """Promises of every implementation of `UploadRecords`."""

    async def test_an_upload_and_its_parts_are_kept(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            assert await records.uploads.find(UPLOAD.download_id) is None
            await records.uploads.begin(UPLOAD)
            assert await records.uploads.set_id(UPLOAD, "u")
            created = replace(UPLOAD, upload_id="u")
            for part in reversed(PARTS):
                assert await records.uploads.add_part(created, part)
            assert await records.uploads.add_part(created, PARTS[0])
        async with open_store() as records:
            assert await records.uploads.find(UPLOAD.download_id) == (created, PARTS)
            await records.uploads.remove(created)
            assert await records.uploads.find(UPLOAD.download_id) is None
            await records.uploads.begin(UPLOAD)
            assert await records.uploads.find(UPLOAD.download_id) == (UPLOAD, [])

    async def test_a_later_upload_replaces_an_earlier_one_with_its_parts(self, open_store: OpenStore) -> None:
        earlier, later = replace(UPLOAD, upload_id="u"), replace(UPLOAD, begun=11.0)
        async with open_store() as records:
            await records.uploads.begin(UPLOAD)
            await records.uploads.set_id(UPLOAD, "u")
            await records.uploads.add_part(earlier, PARTS[0])
            await records.uploads.begin(later)
            assert not await records.uploads.add_part(earlier, PARTS[1])
            assert not await records.uploads.set_id(UPLOAD, "v")
            await records.uploads.remove(earlier)
            assert await records.uploads.find(UPLOAD.download_id) == (later, [])

    async def test_an_upload_without_a_download_is_abandoned_after_a_time(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            await records.uploads.begin(UPLOAD)
            assert await records.uploads.abandoned(begun_before=UPLOAD.begun) == []
            assert await records.uploads.abandoned(begun_before=UPLOAD.begun + 1) == [UPLOAD]

    async def test_an_upload_is_abandoned_when_its_download_ends_without_a_part_file(
        self, open_store: OpenStore
    ) -> None:
        async with open_store() as records:
            assert await abandoned_after_end(records, part_name=None) == [UPLOAD]

    async def test_an_upload_is_kept_with_the_part_file_of_a_failed_download(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            assert await abandoned_after_end(records, part_name=".f.part") == []


async def abandoned_after_end(records: Store, *, part_name: str | None) -> Sequence[RemoteUpload]:
    """Return the abandoned uploads after the end of the download of `UPLOAD`."""
    active, ended = await added(
        records,
        sample_download(),
        with_fields(sample_download(state=State.FAILED), end_time=int(NOW), part_name=part_name),
    )
    await records.uploads.begin(replace(UPLOAD, download_id=active.id))
    await records.uploads.begin(replace(UPLOAD, download_id=ended.id))
    abandoned = await records.uploads.abandoned(begun_before=UPLOAD.begun + 1)
    assert all(upload.download_id == ended.id for upload in abandoned)
    return [replace(upload, download_id=UPLOAD.download_id) for upload in abandoned]
