"""One attempt after the other, with a scripted origin and a real disk."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace
from support.clocks import ManualClock
from support.downloads import with_fields
from support.fake_known_files import FakeKnownFiles
from support.fake_slots import FakeSlots
from support.sample_downloads import sample_download
from support.scripted_session import Answer, ScriptedFile, ScriptedSession

from downloadd.download import Condition, Download, ResumedBy
from downloadd.errors import DownloadError, NetworkError, RemoteError
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.transfer.attempt import Attempt, FetchResult
from downloadd.transfer.present_files import PresentFiles
from downloadd.transfer.resume import OVERLAP_BYTES, RangeRequest
from downloadd.transfer.speed_floor import SpeedPolicy
from downloadd.verify import format_checksum

SIZE = 400_000
CUT = 150_000
OLD = "Sun, 06 Nov 1994 08:49:37 GMT"
FRESH = "Tue, 14 Nov 2023 22:13:00 GMT"
"""Too short before `scripted_session.NOW` to be a strong validator."""


def content(seed: int, size: int = SIZE) -> bytes:
    return Random(seed).randbytes(size)


class NoLimit:
    async def acquire(self, max_bytes: int) -> int:
        return max_bytes

    def release(self, nbytes: int) -> None:
        pass


class Transfers:
    """Attempts of one download, one after the other, as the runs of the daemon make them."""

    def __init__(self, destination: LocalDestination, root: Path) -> None:
        self.destination = destination
        self.root = root
        self.row = sample_download(state=State.STARTING, epoch=0)
        self.saved: list[Download] = []
        self.known = FakeKnownFiles()
        self.may_reuse = False
        self.filename = parse_filename(self.row.filename)
        self.allows_overlap = True
        self.has_progressed = False
        self.attempt: Attempt | None = None

    async def save(self, row: Download) -> Download:
        self.saved.append(row)
        return row

    async def change_row(self, change: Callable[[Download], Download]) -> None:
        assert self.attempt is not None
        self.attempt.download = change(self.attempt.download)

    async def fetch(self, session: ScriptedSession) -> FetchResult | DownloadError:
        """Make an attempt; return its result, or its error after the part file was closed."""
        row = replace(self.row, state=State.STARTING, epoch=self.row.epoch + 1)
        attempt = self.attempt = Attempt(
            row,
            session=session.as_session(),
            cookies=session.make_cookie_jar(),
            destination=self.destination,
            clock=ManualClock(),
            save=self.save,
            change_row=self.change_row,
            on_change=lambda: None,
            limiter=NoLimit(),
            flush_interval=lambda: 0.0,
            max_size=0,
            record_checksum=False,
            allows_overlap=self.allows_overlap,
            slots=FakeSlots(),
            speed_policy=SpeedPolicy(),
            present_files=PresentFiles(self.destination.finished_files, self.known, may_reuse=self.may_reuse),
        )
        try:
            result: FetchResult | DownloadError = await attempt.fetch()
        except DownloadError as error:
            result = error
        self.has_progressed = attempt.has_progressed
        self.row = await attempt.close_part()
        return result

    async def cut(self, file: ScriptedFile, after: int = CUT) -> None:
        """Make an attempt whose connection breaks."""
        file.cut_after = after
        assert isinstance(await self.fetch(ScriptedSession(file.answer)), NetworkError)
        file.cut_after = None

    def part(self) -> bytes:
        """Return the bytes of the part file."""
        assert self.row.progress.part_name is not None
        return (self.root / self.row.progress.part_name).read_bytes()

    def part_count(self) -> int:
        return sum(path.name.endswith(".part") for path in self.root.iterdir())


@pytest.fixture
async def transfers(tmp_path: Path) -> AsyncIterator[Transfers]:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        yield Transfers(destination, tmp_path)


def asked(session: ScriptedSession) -> list[tuple[int, str | None]]:
    return [(request.start, request.if_range) for request in session.requests]


@pytest.mark.parametrize(
    "fields", [{"ETag": '"v"'}, {"Last_Modified": OLD, "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, {"Last_Modified": OLD}]
)
async def test_a_strong_validator_continues_with_one_request(transfers: Transfers, fields: dict[str, str]) -> None:
    file = ScriptedFile(content(1), **fields)
    await transfers.cut(file)
    assert transfers.has_progressed
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(CUT, next(iter(fields.values())))]
    assert transfers.part() == file.content
    assert transfers.row.progress.resumed_by is ResumedBy.VALIDATOR


async def test_a_transfer_without_a_break_makes_one_request_and_writes_the_row_once(transfers: Transfers) -> None:
    session = ScriptedSession(ScriptedFile(content(1)).answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert (len(session.requests), len(transfers.saved)) == (1, 1)
    assert transfers.row.progress.resumed_by is None
    assert transfers.part_count() == 1


WEAK = [
    pytest.param({}, id="no validator"),
    pytest.param({"ETag": 'W/"v"'}, id="a weak tag"),
    pytest.param({"Last_Modified": FRESH}, id="a weak date"),
    pytest.param({"ETag": 'W/"v"', "Last_Modified": OLD}, id="a weak tag and a date"),
]


@pytest.mark.parametrize("fields", WEAK)
async def test_without_a_strong_validator_an_overlap_and_samples_continue(
    transfers: Transfers, fields: dict[str, str]
) -> None:
    file = ScriptedFile(content(1), **fields)
    await transfers.cut(file)
    assert transfers.has_progressed
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert transfers.part() == file.content
    assert transfers.row.progress.resumed_by is ResumedBy.OVERLAP
    *samples, rest = session.requests
    assert (rest.start, rest.end, rest.if_range) == (CUT - OVERLAP_BYTES, None, None)
    assert len(samples) == 3
    assert all(sample.end is not None and sample.end <= rest.start for sample in samples)


@pytest.mark.parametrize("fields", WEAK)
async def test_a_strict_daemon_starts_over_without_a_strong_validator(
    transfers: Transfers, fields: dict[str, str]
) -> None:
    transfers.allows_overlap = False
    file = ScriptedFile(content(1), **fields)
    await transfers.cut(file)
    assert not transfers.has_progressed
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(0, None)]
    assert transfers.part() == file.content
    assert transfers.row.progress.resumed_by is None


@pytest.mark.parametrize("after", [CUT + 50_000, SIZE])
async def test_a_daemon_that_is_strict_by_now_starts_over_what_was_compared(transfers: Transfers, after: int) -> None:
    file = ScriptedFile(content(1))
    await transfers.cut(file)
    # The strong validator appears after the comparison, so it does not identify the bytes before.
    changed = bytearray(file.content)
    # Between two samples.
    changed[20_000:20_010] = bytes(10)
    file.content = bytes(changed)
    file.fields = {"ETag": '"v"'}
    file.cut_after = after - CUT + OVERLAP_BYTES
    await transfers.fetch(ScriptedSession(file.answer))
    file.cut_after = None
    assert transfers.row.progress.resumed_by is ResumedBy.OVERLAP
    transfers.allows_overlap = False
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(0, None)]
    assert transfers.part() == file.content
    assert transfers.part_count() == 1


async def test_a_login_page_does_not_replace_bytes_that_cannot_be_continued(transfers: Transfers) -> None:
    transfers.allows_overlap = False
    file = ScriptedFile(content(1), ETag='W/"v"', Content_Type="application/zip")
    await transfers.cut(file)
    page = ScriptedFile(b"<html>sign in</html>", Content_Type="text/html")
    failed = await transfers.fetch(ScriptedSession(page.answer))
    assert isinstance(failed, RemoteError)
    assert failed.transient
    assert transfers.part() == file.content[:CUT]
    assert await transfers.fetch(ScriptedSession(file.answer)) is FetchResult.COMPLETE
    assert transfers.part() == file.content


async def test_a_file_replaces_the_begin_of_a_login_page(transfers: Transfers) -> None:
    transfers.allows_overlap = False
    await transfers.cut(ScriptedFile(content(1), Content_Type="text/html"))
    file = ScriptedFile(content(2), Content_Type="application/zip")
    assert await transfers.fetch(ScriptedSession(file.answer)) is FetchResult.COMPLETE
    assert transfers.part() == file.content


@pytest.mark.parametrize("is_strict", [False, True])
async def test_a_digest_continues_without_samples(transfers: Transfers, is_strict: bool) -> None:
    transfers.allows_overlap = not is_strict
    file = ScriptedFile(content(1), Repr_Digest=f"sha-256=:{'A' * 43}=:")
    await transfers.cut(file)
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(CUT - OVERLAP_BYTES, None)]
    assert transfers.row.progress.resumed_by is ResumedBy.DIGEST
    assert transfers.part() == file.content


async def test_after_a_failed_verification_only_a_strong_validator_continues(transfers: Transfers) -> None:
    transfers.row = with_fields(
        transfers.row, strict_resume=True, requested_checksum=format_checksum("sha-256", "0" * 64)
    )
    file = ScriptedFile(content(1))
    await transfers.cut(file)
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(0, None)]


@pytest.mark.parametrize("place", [10, CUT - 10], ids=["a sample", "the overlap"])
async def test_different_bytes_start_over_in_a_new_file(transfers: Transfers, place: int) -> None:
    file = ScriptedFile(content(1))
    await transfers.cut(file, after=OVERLAP_BYTES + 40_000 if place == 10 else CUT)
    old = transfers.row.progress.part_name
    changed = bytearray(file.content)
    # So few bytes before the overlap are compared completely.
    changed[place] ^= 1
    file.content = bytes(changed)
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert transfers.part() == file.content
    assert session.requests[-1] == RangeRequest()
    assert transfers.row.progress.part_name != old
    assert transfers.row.progress.resumed_by is None


async def test_uniform_bytes_prove_nothing(transfers: Transfers) -> None:
    file = ScriptedFile(bytes(SIZE))
    await transfers.cut(file)
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(0, None)]


async def test_an_origin_without_ranges_for_preconditions_is_asked_once_more(transfers: Transfers) -> None:
    file = ScriptedFile(content(1), ETag='"v"')

    def answer(request: RangeRequest) -> Answer:
        return file.answer(RangeRequest() if request.if_range else request)

    await transfers.cut(file)
    for received in (CUT, 2 * CUT):
        file.cut_after = CUT
        session = ScriptedSession(answer)
        result = await transfers.fetch(session)
        assert asked(session) == [(received, '"v"'), (received, None)]
        assert (result is FetchResult.COMPLETE) is (received > CUT)
    assert transfers.part() == file.content
    assert transfers.row.progress.resumed_by is ResumedBy.VALIDATOR


async def test_an_origin_without_ranges_is_received_from_the_start_and_nothing_is_lost(transfers: Transfers) -> None:
    file = ScriptedFile(content(1), ETag='"v"')
    whole = file.answer(RangeRequest())
    await transfers.cut(file)
    session = ScriptedSession(lambda request: replace(whole, cut_after=50_000))
    assert isinstance(await transfers.fetch(session), NetworkError)
    assert not transfers.has_progressed
    superseded = transfers.row.progress.superseded
    assert superseded is not None
    assert (superseded.received, transfers.row.progress.received) == (CUT, 50_000)
    # With ranges again, the file with more bytes is continued.
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(CUT, '"v"')]
    assert transfers.part() == file.content
    assert transfers.part_count() == 1


async def test_a_new_version_whose_line_breaks_is_continued_and_replaces_a_shorter_old_one(
    transfers: Transfers,
) -> None:
    await transfers.cut(ScriptedFile(content(1), ETag='"1"'))
    changed = ScriptedFile(content(2), ETag='"2"')
    outcomes = []
    for _ in range(3):
        await transfers.cut(changed, after=60_000)
        outcomes.append((transfers.row.progress.received, transfers.part_count(), transfers.has_progressed))
    # Starting over is not progress, so that an origin that changes each time is not asked without an end.
    assert outcomes == [(60_000, 2, False), (120_000, 2, True), (180_000, 1, True)]
    assert transfers.row.progress.superseded is None
    assert await transfers.fetch(ScriptedSession(changed.answer)) is FetchResult.COMPLETE
    assert transfers.part() == changed.content


async def test_bytes_that_are_discarded_for_more_others_are_no_progress(transfers: Transfers) -> None:
    uniform = ScriptedFile(bytes(SIZE))
    await transfers.cut(uniform, after=200_000)
    assert transfers.has_progressed
    # Bytes that prove nothing are received again each time.
    await transfers.cut(uniform, after=220_000)
    assert (transfers.row.progress.received, transfers.has_progressed) == (220_000, False)


async def test_the_old_version_is_continued_if_the_origin_has_it_again(transfers: Transfers) -> None:
    file = ScriptedFile(content(1), ETag='"1"')
    await transfers.cut(file)
    await transfers.cut(ScriptedFile(content(2), ETag='"2"'), after=60_000)
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(60_000, '"2"'), (0, None), (CUT, '"1"')]
    assert transfers.part() == file.content
    assert transfers.part_count() == 1


async def test_two_alternating_versions_lose_nothing_and_ask_a_limited_number_of_times(transfers: Transfers) -> None:
    files = [ScriptedFile(content(number), ETag=f'"{number}"') for number in (1, 2)]
    await transfers.cut(files[0])
    number = 0

    def answer(request: RangeRequest) -> Answer:
        nonlocal number
        number += 1
        return replace(files[number % 2].answer(request), cut_after=40_000)

    for _ in range(6):
        session = ScriptedSession(answer)
        await transfers.fetch(session)
        progress = transfers.row.progress
        best = max(progress.received, 0 if progress.superseded is None else progress.superseded.received)
        assert best >= CUT
        assert len(session.requests) < 8


async def test_a_superseded_file_that_is_missing_is_forgotten(transfers: Transfers) -> None:
    file = ScriptedFile(content(1), ETag='"1"')
    await transfers.cut(file)
    await transfers.cut(ScriptedFile(content(2), ETag='"2"'), after=60_000)
    superseded = transfers.row.progress.superseded
    assert superseded is not None
    (transfers.root / superseded.part_name).unlink()
    assert await transfers.fetch(ScriptedSession(file.answer)) is FetchResult.COMPLETE
    assert transfers.part() == file.content
    assert transfers.part_count() == 1


async def test_the_row_is_saved_before_a_part_file_is_replaced(transfers: Transfers) -> None:
    await transfers.cut(ScriptedFile(content(1), ETag='"1"'))
    old = transfers.row.progress.part_name
    assert old is not None
    exists: list[bool] = []
    save = transfers.save

    async def observe(row: Download) -> Download:
        exists.append(any(path.name.startswith(".a.") for path in transfers.root.iterdir()))
        return await save(row)

    transfers.save = observe  # type: ignore[method-assign]
    await transfers.fetch(ScriptedSession(ScriptedFile(content(2), ETag='"2"').answer))
    names = [row.progress.part_name for row in transfers.saved]
    assert len(set(names[-2:])) == 1
    assert all(exists)


async def test_a_published_file_that_shares_the_old_part_is_not_changed(transfers: Transfers) -> None:
    """A later run has adopted and published the part file while this one was still receiving."""
    first, second = ScriptedFile(content(1), ETag='"1"'), ScriptedFile(content(2), ETag='"2"')
    await transfers.cut(first)
    published = transfers.root / "published"

    def answer(request: RangeRequest) -> Answer:
        if request.is_range:
            [part] = [path for path in transfers.root.iterdir() if path.name.endswith(".part")]
            part.rename(published)
        return second.answer(request)

    assert await transfers.fetch(ScriptedSession(answer)) is FetchResult.COMPLETE
    assert published.read_bytes() == first.content[:CUT]
    assert transfers.part() == second.content


@pytest.mark.parametrize("status", [429, 503])
async def test_a_refused_sample_keeps_the_part_file(transfers: Transfers, status: int) -> None:
    file = ScriptedFile(content(1))
    await transfers.cut(file)
    error = await transfers.fetch(ScriptedSession(lambda request: Answer(status=status)))
    assert isinstance(error, RemoteError)
    assert transfers.row.progress.received == CUT
    assert await transfers.fetch(ScriptedSession(file.answer)) is FetchResult.COMPLETE
    assert transfers.row.progress.resumed_by is ResumedBy.OVERLAP


async def test_a_complete_part_is_recorded_under_its_new_name(transfers: Transfers) -> None:
    # After a crash during publication, a part under an unrecorded name would not be found.
    part = await transfers.destination.open_part(
        directory="", filename=parse_filename("a"), download_id=transfers.row.id, epoch=1, existing=None
    )
    await part.write([b"abc"], 0)
    await part.close()
    transfers.row = with_fields(transfers.row, epoch=1, total=3, validator='"v"', part_name=part.name)
    session = ScriptedSession(lambda request: Answer(status=500))
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert session.requests == []
    assert transfers.row.progress.part_name != part.name
    assert transfers.part() == b"abc"


# -- conditions --------------------------------------------------------------------------------------------------------


async def test_a_condition_is_sent_until_there_are_bytes_and_304_is_unchanged(transfers: Transfers) -> None:
    condition = Condition(entity_tag='"old"', last_modified=7)
    transfers.row = transfers.row.with_request(condition=condition)
    session = ScriptedSession(lambda request: Answer(status=304))
    assert await transfers.fetch(session) is FetchResult.UNCHANGED
    assert [request.condition for request in session.requests] == [condition]
    assert transfers.part_count() == 0
    # Another version is received, over a break, without the condition from then on.
    file = ScriptedFile(content(1), ETag='"v"')
    await transfers.cut(file)
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert [request.condition for request in session.requests] == [None]


async def test_304_without_a_condition_is_an_error(transfers: Transfers) -> None:
    assert isinstance(await transfers.fetch(ScriptedSession(lambda request: Answer(status=304))), RemoteError)
