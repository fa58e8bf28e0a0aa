"""Transfer of accepted content, through attempts with a scripted origin and a real disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.downloads import with_fields
from support.scripted_session import Answer, ScriptedFile, ScriptedSession
from transfer.test_attempt import Transfers, asked, content

from downloadd.download import ResumedBy
from downloadd.errors import NetworkError, RemoteError
from downloadd.storage.local import LocalDestination
from downloadd.transfer.attempt import FetchResult
from downloadd.transfer.part_transfer import MIN_PROGRESS_BYTES
from downloadd.transfer.resume import OVERLAP_BYTES, RangeRequest

SIZE = 5 << 20
CUT = 2 << 20


@pytest.fixture
async def transfers(tmp_path: Path) -> AsyncIterator[Transfers]:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        transfers = Transfers(destination, tmp_path)
        transfers.row = with_fields(transfers.row, segments=2)
        yield transfers


async def test_ranges_of_several_connections_are_continued(transfers: Transfers) -> None:
    file = ScriptedFile(content(1, SIZE), ETag='"v"')

    def cut(request: RangeRequest) -> Answer:
        answer = file.answer(request)
        return Answer(status=answer.status, fields=answer.fields, body=answer.body, cut_after=1 << 20)

    assert isinstance(await transfers.fetch(ScriptedSession(cut)), NetworkError)
    progress = transfers.row.progress
    assert progress.received_ranges is not None
    assert progress.resumed_by is None
    received = progress.received
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert transfers.part() == file.content
    assert transfers.row.progress.resumed_by is ResumedBy.VALIDATOR
    assert transfers.attempt is not None
    assert transfers.attempt.received_bytes == SIZE - received
    assert {request.if_range for request in session.requests} == {'"v"'}


@pytest.mark.parametrize("url_changed", [False, True])
async def test_gaps_stay_known_if_an_attempt_fails_before_a_range_is_received(
    transfers: Transfers, url_changed: bool
) -> None:
    file = ScriptedFile(content(1, SIZE), ETag='"v"')

    def cut(request: RangeRequest) -> Answer:
        answer = file.answer(request)
        return Answer(status=answer.status, fields=answer.fields, body=answer.body, cut_after=1 << 20)

    await transfers.fetch(ScriptedSession(cut))
    before = transfers.row.progress
    assert before.received_ranges is not None
    assert before.received < len(transfers.part())
    transfers.row = with_fields(transfers.row, url_changed=url_changed)
    assert isinstance(await transfers.fetch(ScriptedSession(lambda request: Answer(status=503))), RemoteError)
    after = transfers.row.progress
    assert (after.received, after.received_ranges) == (before.received, before.received_ranges)
    assert not transfers.has_progressed
    assert await transfers.fetch(ScriptedSession(file.answer)) is FetchResult.COMPLETE
    assert transfers.part() == file.content


async def test_a_version_that_changes_between_connections_is_received_over_one(transfers: Transfers) -> None:
    first, second = ScriptedFile(content(1, SIZE), ETag='"1"'), ScriptedFile(content(2, SIZE), ETag='"2"')
    requests = 0

    def answer(request: RangeRequest) -> Answer:
        nonlocal requests
        requests += 1
        return (first if requests == 1 else second).answer(request)

    session = ScriptedSession(answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert transfers.part() == second.content
    assert session.requests[-1] == RangeRequest()
    assert transfers.part_count() <= 2
    assert transfers.attempt is not None
    await transfers.attempt.remove_superseded_part()
    assert transfers.part_count() == 1


async def test_a_download_without_a_strong_validator_uses_one_connection(transfers: Transfers) -> None:
    session = ScriptedSession(ScriptedFile(content(1, SIZE), ETag='W/"v"').answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert session.requests == [RangeRequest()]


async def test_a_short_range_is_followed_by_the_next(transfers: Transfers) -> None:
    file = ScriptedFile(content(1, SIZE), ETag='"v"')
    transfers.row = with_fields(transfers.row, segments=1)
    await transfers.cut(file, after=CUT)
    session = ScriptedSession(
        lambda request: file.answer(
            RangeRequest(start=request.start, end=request.start + (1 << 20), evidence=request.evidence, if_range='"v"')
        )
    )
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(start << 20, '"v"') for start in (2, 3, 4)]
    assert transfers.part() == file.content


async def test_an_origin_that_sends_tiny_ranges_fails_the_attempt(transfers: Transfers) -> None:
    file = ScriptedFile(content(1, SIZE), ETag='"v"')
    transfers.row = with_fields(transfers.row, segments=1)
    await transfers.cut(file, after=CUT)
    session = ScriptedSession(
        lambda request: file.answer(
            RangeRequest(
                start=request.start,
                end=request.start + MIN_PROGRESS_BYTES - 1,
                evidence=request.evidence,
                if_range='"v"',
            )
        )
    )
    assert isinstance(await transfers.fetch(session), NetworkError)
    assert len(session.requests) == 1
    assert transfers.row.progress.received == CUT + MIN_PROGRESS_BYTES - 1


@pytest.mark.parametrize("is_same", [True, False])
async def test_a_changed_url_is_continued_if_the_bytes_are_equal(transfers: Transfers, is_same: bool) -> None:
    file = ScriptedFile(content(1, SIZE), ETag='"v"')
    transfers.row = with_fields(transfers.row, segments=1)
    await transfers.cut(file, after=CUT)
    transfers.row = with_fields(transfers.row, url_changed=True)
    other = file if is_same else ScriptedFile(content(2, SIZE), ETag='"v"')
    session = ScriptedSession(other.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert transfers.part() == other.content
    expected = [(CUT - OVERLAP_BYTES, '"v"')]
    assert asked(session) == (expected if is_same else [*expected, (0, None)])
    assert not transfers.row.progress.url_changed


async def test_the_ranges_of_an_old_version_are_continued_if_the_origin_has_it_again(transfers: Transfers) -> None:
    first, second = ScriptedFile(content(1, SIZE), ETag='"1"'), ScriptedFile(content(2, SIZE), ETag='"2"')

    def cut(request: RangeRequest) -> Answer:
        answer = first.answer(request)
        return Answer(status=answer.status, fields=answer.fields, body=answer.body, cut_after=1 << 20)

    await transfers.fetch(ScriptedSession(cut))
    ranges = transfers.row.progress.received_ranges
    transfers.row = with_fields(transfers.row, segments=1)
    await transfers.cut(second, after=100_000)
    superseded = transfers.row.progress.superseded
    assert superseded is not None
    assert (superseded.received_ranges, transfers.row.progress.received_ranges) == (ranges, None)
    session = ScriptedSession(first.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert transfers.part() == first.content
    assert [request.is_range for request in session.requests[:3]] == [True, False, True]
    assert transfers.part_count() == 1


async def test_ranges_that_end_before_the_first_new_byte_fail_the_attempt(transfers: Transfers) -> None:
    file = ScriptedFile(content(1, SIZE), ETag='W/"v"')
    await transfers.cut(file, after=CUT)

    def capped(request: RangeRequest) -> Answer:
        # The overlap is as long as the longest range that the origin sends.
        end = request.start + OVERLAP_BYTES
        return file.answer(replace(request, end=min(end, request.end or end)))

    session = ScriptedSession(capped)
    assert isinstance(await transfers.fetch(session), NetworkError)
    assert not transfers.has_progressed
    assert len(session.requests) == 4
    assert transfers.part() == file.content[:CUT]
