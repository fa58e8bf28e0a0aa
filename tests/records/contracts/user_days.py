"""Contract of `UserDays`."""

from support.stored_downloads import claimed, sample_download
from support.stores import OpenStore

from downloadd.records.user_days import DayBytes
from downloadd.states import State

DAYS = {"ann": "2026-12-01", "bob": "2026-12-02"}


def received(nbytes: int, user: str = "ann", day: str = "2026-12-01") -> DayBytes:
    return DayBytes(user=user, day=day, received=nbytes)


class UserDayContract:
    """Promises of every implementation of `UserDays`."""

    async def test_what_is_noted_is_recorded_with_the_next_write_of_a_run(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            run = await claimed(records, sample_download())
            records.user_days.note(received(5))
            records.user_days.note(received(9))
            records.user_days.note(received(7, "bob", "2026-12-02"))
            records.user_days.note(received(100, day="2026-11-30"))
            # What this process has received is not that of others.
            await records.save(run)
            assert await records.user_days.others(DAYS) == {"ann": 0, "bob": 0}
        async with open_store() as records:
            assert await records.user_days.others(DAYS) == {"ann": 9, "bob": 7}
            records.user_days.note(received(1))
            await records.save_all([await claimed(records, sample_download())])
        async with open_store() as records:
            # A write that is repeated late counts once, and a smaller number is an older one.
            assert await records.user_days.others(DAYS) == {"ann": 10, "bob": 7}
            await records.user_days.forget("2026-12-02")
            assert await records.user_days.others(DAYS) == {"ann": 0, "bob": 7}
            assert await records.user_days.others({}) == {}

    async def test_what_a_run_without_its_download_has_received_counts_too(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            run = await claimed(records, sample_download())
            await records.amend(run.id, lambda row: row)
            records.user_days.note(received(5))
            assert await records.save(sample_download(state=State.DOWNLOADING, epoch=9)) is None
        async with open_store() as records:
            assert await records.user_days.others(DAYS) == {"ann": 5, "bob": 0}
