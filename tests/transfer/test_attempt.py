"""One attempt, over real disks and sockets."""

from records.contract import sample_download
from support.downloads import with_fields

from downloadd.clock import SystemClock
from downloadd.download import Download
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.transfer.attempt import Attempt, FetchResult
from downloadd.transfer.session import Session


class NoLimit:
    async def acquire(self, max_bytes: int) -> int:
        return max_bytes

    def release(self, nbytes: int) -> None:
        pass


class NoSlots:
    def acquire(self, host: str, count: int) -> int:
        return 0

    def release(self, host: str, slots: int) -> None:
        pass


async def test_a_complete_part_is_recorded_under_its_new_name(destination: LocalDestination, session: Session) -> None:
    # After a crash during publication, a part under an unrecorded name would not be found.
    saved: list[Download] = []

    async def save(row: Download) -> Download:
        saved.append(row)
        return row

    row = with_fields(sample_download(), state=State.STARTING, epoch=2, total=3, validator='"v"')
    part = await destination.open_part(
        directory=row.request.directory,
        filename=parse_filename(row.filename),
        download_id=row.id,
        epoch=1,
        existing=None,
    )
    await part.write([b"abc"], 0)
    await part.close()
    attempt = Attempt(
        with_fields(row, part_name=part.name),
        session=session,
        destination=destination,
        clock=SystemClock(),
        save=save,
        on_change=lambda: None,
        limiter=NoLimit(),
        flush_interval=lambda: 1.0,
        max_size=0,
        record_checksum=False,
        slots=NoSlots(),
    )
    assert await attempt.fetch() is FetchResult.COMPLETE
    assert attempt.part is not None
    assert attempt.part.name != part.name
    assert attempt.download.progress.part_name == attempt.part.name
    await attempt.part.close()
