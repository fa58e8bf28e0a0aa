"""Abortion of abandoned uploads."""

from collections.abc import Sequence

from msgspec.structs import replace
from structlog.testing import capture_logs
from support.clocks import NOW, ManualClock

from downloadd.errors import StorageAwayError
from downloadd.manager.abandoned_uploads import LOST_SECONDS, AbandonedUploads
from downloadd.remote_upload import RemoteUpload, UploadedPart

UPLOAD = RemoteUpload(
    download_id="a", storage="s3://b", key="k", size=1, sha256="0", part_size=1, begun=0.0, upload_id="u"
)


class Records:
    """Uploads of which all are abandoned."""

    def __init__(self, *uploads: RemoteUpload) -> None:
        self.uploads = list(uploads)
        self.begun_before = 0.0

    async def find(self, download_id: str) -> tuple[RemoteUpload, Sequence[UploadedPart]] | None:
        raise NotImplementedError

    async def begin(self, upload: RemoteUpload) -> None:
        raise NotImplementedError

    async def set_id(self, upload: RemoteUpload, upload_id: str) -> bool:
        raise NotImplementedError

    async def add_part(self, upload: RemoteUpload, part: UploadedPart) -> bool:
        raise NotImplementedError

    async def remove(self, upload: RemoteUpload) -> None:
        self.uploads.remove(upload)

    async def abandoned(self, *, begun_before: float) -> Sequence[RemoteUpload]:
        self.begun_before = begun_before
        return tuple(self.uploads)


async def test_each_abandoned_upload_is_aborted_and_forgotten() -> None:
    records, aborted = Records(UPLOAD, replace(UPLOAD, download_id="b")), []

    async def abort(upload: RemoteUpload) -> None:
        aborted.append(upload.download_id)

    await AbandonedUploads(records, abort, ManualClock()).search()
    assert aborted == ["a", "b"]
    assert records.uploads == []
    assert records.begun_before == NOW - LOST_SECONDS


async def test_an_upload_that_cannot_be_aborted_now_is_left_for_the_next_search() -> None:
    records = Records(UPLOAD, replace(UPLOAD, download_id="b"))

    async def abort(upload: RemoteUpload) -> None:
        if upload.download_id == "a":
            raise StorageAwayError("away")

    with capture_logs() as lines:
        await AbandonedUploads(records, abort, ManualClock()).search()
    assert records.uploads == [UPLOAD]
    assert [line["event"] for line in lines] == ["upload_not_aborted"]
