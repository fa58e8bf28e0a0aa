"""Admission of download requests to the queue."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.short_names import limit_names

from downloadd.download import Conflict
from downloadd.download_request import DownloadRequest
from downloadd.errors import DomainBlockedError, ErrorCode, IdempotencyKeyReusedError, QueueFullError, ShuttingDownError
from downloadd.events import DownloadChanged, DownloadEnded
from downloadd.gid import make_gid
from downloadd.manager.admission_control import AdmissionControl
from downloadd.manager.protocol import DownloadChange
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.records.protocol import StoredResponse
from downloadd.states import State

# No download starts: the queue fills.
QUEUE_OF_TWO = replace(CONFIG, max_queued=2, max_concurrent=1, max_per_host=1)
REQUEST = DownloadRequest(url="http://127.0.0.1:8080/a", directory="d")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path, QUEUE_OF_TWO) as stack:
        stack.dispatcher.queue.set_suspension("held by the test")
        yield stack


@pytest.fixture
def admission(stack: ManagerStack) -> AdmissionControl:
    return stack.admission


def stored_response(fingerprint: bytes) -> StoredResponse:
    return StoredResponse(user="ann", key="k", fingerprint=fingerprint, status=201, body=b"{}", created=1e10)


async def errors_of(admission: AdmissionControl, *requests: DownloadRequest) -> list[ErrorCode | None]:
    return [one.result.error for one in (await admission.start(requests, user="ann")).downloads]


async def test_requests_beyond_the_queue_are_refused_in_order(admission: AdmissionControl) -> None:
    full = ErrorCode.QUEUE_FULL
    assert await errors_of(admission, REQUEST, REQUEST, REQUEST) == [None, None, full]
    assert await errors_of(admission, REQUEST) == [full]


async def test_a_refused_request_uses_no_slot(admission: AdmissionControl) -> None:
    wrong = DownloadRequest(url="nonsense", directory="d")
    assert await errors_of(admission, wrong, wrong, REQUEST, REQUEST) == [
        ErrorCode.INVALID_URL,
        ErrorCode.INVALID_URL,
        None,
        None,
    ]


async def test_concurrent_requests_do_not_use_the_same_slot(admission: AdmissionControl) -> None:
    results = await asyncio.gather(*(errors_of(admission, REQUEST) for _ in range(8)))
    assert sum(errors == [None] for errors in results) == 2


async def test_a_reserved_slot_is_free_again_after_an_error(admission: AdmissionControl) -> None:
    async def fail_with_a_slot() -> None:
        async with admission.reserving_slot() as full:
            assert full is None
            raise ValueError("x")

    for _ in range(3):
        with pytest.raises(ValueError, match="x"):
            await fail_with_a_slot()
    async with (
        admission.reserving_slot() as first,
        admission.reserving_slot() as second,
        admission.reserving_slot() as third,
    ):
        assert (first, second) == (None, None)
        assert third is not None
        assert (third.limit, third.retry_after) == (2, QueueFullError.RETRY_AFTER)


async def test_a_file_that_must_not_exist_and_does_is_a_refusal(stack: ManagerStack) -> None:
    (stack.root / "d").mkdir()
    (stack.root / "d/f").write_bytes(b"")
    request = DownloadRequest(url=REQUEST.url, directory="d", filename="f", conflict=Conflict.ERROR)
    assert await errors_of(stack.admission, request, replace(request, filename="g")) == [ErrorCode.FILE_EXISTS, None]


async def test_a_name_cannot_be_checked_while_the_root_is_missing(stack: ManagerStack) -> None:
    stack.root.rename(stack.root.with_name("away"))
    request = DownloadRequest(url=REQUEST.url, directory="d", filename="f", conflict=Conflict.ERROR)
    assert await errors_of(stack.admission, request) == [None]


async def test_accepted_and_refused_downloads_are_published(stack: ManagerStack) -> None:
    with stack.bus.subscribe() as subscription:
        await errors_of(stack.admission, REQUEST, DownloadRequest(url="nonsense", directory="d"))
        [accepted], [refused] = [[one.event for one in await subscription.receive()] for _ in range(2)]
    assert isinstance(accepted, DownloadChanged)
    assert accepted.snapshot.reason == "held by the test"
    assert isinstance(refused, DownloadEnded)
    assert refused.download.state is State.FAILED


async def test_a_repeated_request_is_replayed_and_records_nothing(stack: ManagerStack) -> None:
    for replayed in (False, True):
        result = await stack.admission.start(
            [REQUEST], user="ann", make_stored_response=lambda downloads: stored_response(b"1")
        )
        assert (result.replayed is not None) is replayed
    with pytest.raises(IdempotencyKeyReusedError):
        await stack.admission.start([REQUEST], user="ann", make_stored_response=lambda downloads: stored_response(b"2"))
    # Neither the replay nor the refusal keeps a slot.
    assert await errors_of(stack.admission, REQUEST) == [None]


async def test_a_new_configuration_holds_for_the_next_request(admission: AdmissionControl) -> None:
    config = replace(QUEUE_OF_TWO, max_queued=3, allowed_domains=("example.com",))
    admission.configure(policy=Policy.from_config(config), directories=DirectoryRules(), config=config)
    allowed = DownloadRequest(url="http://example.com/a", directory="d")
    assert await errors_of(admission, REQUEST, *[allowed] * 4) == [
        ErrorCode.DOMAIN_BLOCKED,
        *[None] * 3,
        ErrorCode.QUEUE_FULL,
    ]
    with pytest.raises(DomainBlockedError):
        admission.check_new_url(REQUEST.url)
    with pytest.raises(DomainBlockedError):
        admission.check_change(DownloadChange(mirrors=[REQUEST.url]))


async def test_a_large_batch_lets_other_tasks_run(tmp_path: Path) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with open_stack(tmp_path, replace(CONFIG, max_queued=0)) as stack, asyncio.TaskGroup() as group:
        task = group.create_task(count_turns())
        await errors_of(stack.admission, *[REQUEST] * 1000)
        task.cancel()
    assert turns > 8


async def test_nothing_is_accepted_after_the_close(admission: AdmissionControl) -> None:
    admission.close()
    with pytest.raises(ShuttingDownError):
        await admission.start([REQUEST], user="ann")


async def test_a_requested_name_that_is_too_long_for_the_disk_is_refused(
    admission: AdmissionControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_names(monkeypatch, 143)
    named = [DownloadRequest(url=REQUEST.url, directory="d", filename="n" * size) for size in (143, 144)]
    fits, too_long = (await admission.start(named, user="ann")).downloads
    assert fits.result.error is None
    assert too_long.result.error is ErrorCode.INVALID_PATH
    assert "at most 143 bytes" in str(too_long.result.detail)
    # A name that an origin chooses is shortened.
    unnamed = DownloadRequest(url=f"{REQUEST.url}/{'n' * 200}", directory="d")
    assert await errors_of(admission, unnamed) == [None]


async def test_a_download_has_its_number_and_the_gid_that_its_request_chose(admission: AdmissionControl) -> None:
    gid = "abc0123456789def"
    requests = [replace(REQUEST, gid=gid), replace(REQUEST, gid=gid), replace(REQUEST, gid="x"), REQUEST]
    downloads = (await admission.start(requests, user="ann")).downloads
    assert [one.seq for one in downloads] == [1, 2, 3, 4]
    assert [one.gid for one in downloads] == [gid, make_gid(2), make_gid(3), make_gid(4)]
    assert [one.result.detail for one in downloads] == [
        None,
        "gid: another download has it; choose another one, or none",
        "gid: expected 16 lower-case hexadecimal digits that are not all 0",
        None,
    ]


async def test_a_gid_of_a_request_that_was_refused_is_free(admission: AdmissionControl) -> None:
    chosen = replace(REQUEST, gid="abc0123456789def")
    assert await errors_of(admission, REQUEST, REQUEST, chosen) == [None, None, ErrorCode.QUEUE_FULL]
    admission.configure(policy=Policy.from_config(CONFIG), directories=DirectoryRules(), config=CONFIG)
    assert await errors_of(admission, chosen) == [None]


async def test_a_download_is_enqueued_at_its_position(tmp_path: Path) -> None:
    async with open_stack(tmp_path) as stack:
        stack.dispatcher.queue.set_suspension("held by the test")
        requests = [REQUEST, replace(REQUEST, priority=2), replace(REQUEST, position=0), replace(REQUEST, position=2)]
        started = (await stack.admission.start(requests, user="ann")).downloads
        assert [one.control.priority for one in started] == [0, 2, 2, 0]
        order = [started[2].seq, started[1].seq, started[3].seq, started[0].seq]
        assert [row.seq for row in await stack.records.queue.page(0, 9)] == order
        stack.dispatcher.queue.set_suspension(None)
        assert stack.dispatcher.queue._scheduler.select_ready(0) == order
