"""Quotas of users: their limits in the queue, and the bytes of a day, in one process and over several nodes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace
from support.clocks import ManualClock
from support.dispatchers import make_dispatcher
from support.fake_user_files import FakeFileReader, FakeUserFiles
from support.node_reports import node_report
from support.sample_downloads import sample_download
from support.stored_downloads import claimed
from support.stored_downloads import sample_download as stored_download
from support.waiting import wait_until

from downloadd.clock import Clock, SystemClock
from downloadd.errors import DayQuotaPendingError, StoreUnavailableError, UserQuotaError
from downloadd.manager import user_quotas
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.stored_meter import StoredMeter
from downloadd.manager.user_quotas import UserQuotas
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.user_days import DayBytes
from downloadd.states import WaitReason
from downloadd.transfer.quota import NoQuota
from downloadd.user_quota import UserQuota

LIMITS = Limits(max_concurrent=9, max_per_host=9)
DAY = 86_400
NOON = 1_700_049_600.0
"""2023-11-15T12:00:00Z."""
RUN = sample_download(user="alice", seq=1)
ALICE = {"alice": UserQuota(bytes_per_day=10)}


class FakeDays:
    """Fake of `UserDays`."""

    def __init__(self) -> None:
        self.noted: list[DayBytes] = []
        self.recorded: dict[tuple[str, str], int] = {}
        self.forgotten: list[str] = []
        self.is_away = False

    def note(self, received: DayBytes) -> None:
        self.noted.append(received)

    async def others(self, days: Mapping[str, str]) -> Mapping[str, int]:
        if self.is_away:
            raise StoreUnavailableError("away")
        return {user: self.recorded.get((user, day), 0) for user, day in days.items()}

    async def forget(self, before: str) -> None:
        self.forgotten.append(before)


def no_stored_bytes(clock: Clock) -> StoredMeter:
    """Return a meter for users without a quota for stored bytes."""
    return StoredMeter(FakeUserFiles(), FakeFileReader(), clock)


class Parts:
    """Quotas of a process alone."""

    def __init__(self, quotas: Mapping[str, UserQuota]) -> None:
        self.clock = ManualClock(NOON)
        self.dispatcher: LocalDispatcher = make_dispatcher(LIMITS, self.clock)
        self.records = FakeDays()
        self.quotas = UserQuotas(
            self.dispatcher.queue,
            quotas,
            records=self.records,
            stored=no_stored_bytes(self.clock),
            clock=self.clock,
            is_shared=False,
        )

    async def reason(self) -> tuple[WaitReason, str, int | None]:
        [notice] = await self.dispatcher.queue.explain_waits([sample_download(user="alice")])
        return notice.code, notice.text, notice.seconds


async def test_the_limits_of_users_follow_their_configuration_and_change_no_others() -> None:
    parts = Parts({"alice": UserQuota(max_concurrent=2), "bob": UserQuota()})
    queue = parts.dispatcher.queue
    assert queue.limits == replace(LIMITS, runs_by_user={"alice": 2})
    queue.change_limits(replace(queue.limits, max_concurrent=3))
    parts.quotas.configure({"bob": UserQuota(max_concurrent=1)})
    assert queue.limits == replace(LIMITS, max_concurrent=3, runs_by_user={"bob": 1})


async def test_a_user_who_has_used_up_the_day_is_held_until_the_next_one() -> None:
    parts = Parts(ALICE)
    run = parts.quotas.of_run(RUN)
    assert await run.allow(7, size=0) == 7
    run.add(7)
    assert await run.allow(7, size=7) == 3
    run.add(3)
    with pytest.raises(DayQuotaPendingError, match="alice has received 10 B of the 10 B of today"):
        await run.allow(7, size=10)
    code, text, seconds = await parts.reason()
    assert (code, seconds) == (WaitReason.DAY_QUOTA, DAY // 2)
    assert text.endswith("(bytes_per_day in [[users]]); it goes on at 2023-11-16T00:00:00Z")
    parts.clock.now += DAY // 2
    parts.quotas.hold_exhausted()
    assert (await parts.reason())[0] is WaitReason.READY
    assert await run.allow(7, size=10) == 7
    # The clock is set back to the day that is used up.
    parts.clock.now -= DAY // 2
    parts.quotas.hold_exhausted()
    assert (await parts.reason())[0] is WaitReason.DAY_QUOTA
    parts.quotas.configure({"alice": UserQuota(bytes_per_day=11)})
    parts.quotas.hold_exhausted()
    assert (await parts.reason())[0] is WaitReason.READY


async def test_what_was_received_before_a_restart_counts() -> None:
    parts = Parts(ALICE)
    parts.records.recorded["alice", "2023-11-15"] = 12
    async with parts.quotas:
        assert (await parts.reason())[0] is WaitReason.DAY_QUOTA
        assert parts.records.forgotten == ["2023-11-08"]
        # More is allowed at once.
        parts.quotas.configure({"alice": UserQuota(bytes_per_day=20)})

        async def is_ready() -> bool:
            return (await parts.reason())[0] is WaitReason.READY

        await wait_until(is_ready)
        assert await parts.quotas.of_run(RUN).allow(99, size=0) == 8


async def test_records_that_are_away_hold_nothing_back() -> None:
    parts = Parts(ALICE)
    parts.records.is_away = True
    async with parts.quotas:
        assert (await parts.reason())[0] is WaitReason.READY


async def test_a_file_that_cannot_be_continued_begins_on_a_day_on_which_it_fits() -> None:
    parts = Parts(ALICE)
    run = parts.quotas.of_run(RUN)
    run.add(5)
    await run.announce(5, missing=5, is_resumable=False)
    await run.announce(1000, missing=1000, is_resumable=True)
    with pytest.raises(DayQuotaPendingError, match="6 B more do not fit") as pending:
        await run.announce(6, missing=6, is_resumable=False)
    assert pending.value.until == NOON + DAY // 2
    with pytest.raises(UserQuotaError, match="alice may receive 10 B in one") as refused:
        await run.announce(11, missing=11, is_resumable=False)
    assert not isinstance(refused.value, DayQuotaPendingError)


async def test_a_request_is_judged_by_its_size_if_that_is_known() -> None:
    quotas = Parts({"alice": UserQuota(stored_bytes=10)}).quotas
    await quotas.check_request(RUN)
    await quotas.check_request(RUN.with_request(expected_size=10))
    with pytest.raises(UserQuotaError):
        await quotas.check_request(RUN.with_request(expected_size=11))
    run = quotas.of_run(RUN)
    await run.announce(10, missing=10, is_resumable=False)
    assert await run.allow(7, size=9) == 7
    with pytest.raises(UserQuotaError):
        await quotas.check_request(sample_download(2, user="alice"))
    run.end(None)
    await quotas.check_request(RUN)


async def test_a_file_of_unknown_length_ends_where_no_more_may_be_stored() -> None:
    quotas = Parts({"alice": UserQuota(stored_bytes=10)}).quotas
    run = quotas.of_run(RUN)
    assert await run.allow(1000, size=0) == 10
    assert await run.allow(1000, size=7) == 3
    with pytest.raises(UserQuotaError, match="3 B more do not fit"):
        await run.allow(1000, size=10)
    assert isinstance(quotas.of_run(sample_download(user="bob")), NoQuota)


@pytest.fixture
async def nodes(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[tuple[PostgresRecords, UserQuotas, LocalDispatcher]]]:
    """Open the quotas of two nodes."""
    monkeypatch.setattr(user_quotas, "SHARED_CHECK_SECONDS", 0.05)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        nodes = []
        for name in ("alpha", "beta"):
            records = await stack.enter_async_context(PostgresRecords(database, clock, is_owner=False))
            report = node_report(name=name, session=f"session-{name}", instance=f"instance-{name}")
            await records.nodes.register(report, is_start=True)
            dispatcher = make_dispatcher(LIMITS, clock)
            quotas = UserQuotas(
                dispatcher.queue,
                ALICE,
                records=records.user_days,
                stored=no_stored_bytes(clock),
                clock=clock,
                is_shared=records.is_shared,
            )
            nodes.append((records, await stack.enter_async_context(quotas), dispatcher))
        yield nodes


async def test_the_bytes_of_all_nodes_count(
    nodes: list[tuple[PostgresRecords, UserQuotas, LocalDispatcher]],
) -> None:
    (first, quotas, _), (second, others, dispatcher) = nodes
    runs = [await claimed(records, stored_download(user="alice")) for records in (first, second)]
    for count in (quotas, others):
        count.of_run(RUN).add(4)
    await first.save(runs[0])
    await second.save(runs[1])
    await wait_until(lambda: others.days.used("alice") == quotas.days.used("alice") == 8)
    quotas.of_run(RUN).add(2)
    await first.save(runs[0])

    async def is_held() -> bool:
        [notice] = await dispatcher.queue.explain_waits([sample_download(user="alice")])
        return notice.code is WaitReason.DAY_QUOTA

    await wait_until(is_held)
