"""Contract of `Records`, as tests.

An implementation of a store is tested by subclasses of this and of the classes in `records.contracts`, named `Test…`,
where the fixtures `clock` and `open_store` (see `support.stores`) are those of the implementation.
"""

import asyncio
import random
import string
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace
from support.clocks import NOW as NOW
from support.clocks import ManualClock as ManualClock
from support.downloads import make_download, with_fields
from support.fake_imports import ANY_STATE, make_operation
from support.stored_downloads import added as added
from support.stored_downloads import claimed as claimed
from support.stored_downloads import ids as ids
from support.stored_downloads import make_response as make_response
from support.stored_downloads import present as present
from support.stored_downloads import sample_download as sample_download
from support.stores import OpenStore

from downloadd.attempt_options import AttemptOptions
from downloadd.download import Conflict, Desired, Download, Mirror, OriginDigest, PendingRule
from downloadd.errors import ErrorCode, IdempotencyKeyReusedError, NetworkErrorKind, StorageError
from downloadd.import_operation import Driver
from downloadd.records.ends import RecordedEnd
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import ActiveFilter, HistoryFilter, PartOwner, Records, WaitingDownload
from downloadd.states import ACTIVE, FINISHED, RUNNING, State

DAY = 24 * 60 * 60


# Any text: bytes of an origin that are not UTF-8 are decoded to lone surrogates.
_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
_JSON_TEXT = st.text(max_size=40)
_INTEGER = st.integers(-(2**63), 2**63 - 1)
_SECONDS = st.floats(allow_nan=False)

DOWNLOADS = st.builds(
    make_download,
    id=st.builds(lambda: str(uuid4())),
    seq=st.just(0),
    user=_TEXT,
    url=st.sampled_from(["https://example.com/a", "https://example.com/a?token=s3cret"]) | _TEXT,
    redacted_url=st.just("https://example.com/a") | _TEXT,
    origin=_TEXT,
    retrying_since=st.none() | _SECONDS,
    directory=_TEXT,
    part_directory=st.none() | _TEXT,
    pending_rules=st.just(())
    | st.tuples(
        st.builds(
            PendingRule, name=_JSON_TEXT, directory=st.just(UNSET) | _JSON_TEXT, priority=st.just(UNSET) | _INTEGER
        )
    ),
    requested_name=st.none() | _TEXT,
    conflict=st.sampled_from(Conflict),
    requested_checksum=st.none() | _TEXT,
    timeout=_INTEGER,
    segments=_INTEGER,
    attempt_options=st.none() | st.builds(AttemptOptions, max_retries=_INTEGER, stall_timeout=st.just(0.5)),
    start_time=_INTEGER,
    desired=st.sampled_from(Desired),
    priority=_INTEGER,
    speed_limit=_INTEGER,
    place=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    gid=st.none() | st.builds(lambda: uuid4().hex[:16]),
    cleared=st.booleans(),
    state=st.sampled_from(State),
    epoch=st.just(0) | _INTEGER,
    filename=_TEXT,
    attempt=st.just(0) | _INTEGER,
    failures=st.just(0) | _INTEGER,
    not_before=st.none() | _SECONDS,
    time_spent=st.just(0.0) | _SECONDS,
    received=st.just(0) | _INTEGER,
    total=st.none() | _INTEGER,
    validator=st.none() | _TEXT,
    part_name=st.none() | _TEXT,
    publishing=st.booleans(),
    last_modified=st.none() | _INTEGER,
    received_ranges=st.none() | st.just("0-5,7-9"),
    url_changed=st.booleans(),
    source=st.just(0) | _INTEGER,
    content_type=st.none() | _TEXT,
    checksum=st.none() | _TEXT,
    error=st.none() | st.sampled_from(ErrorCode),
    detail=st.none() | _TEXT,
    cause=st.none() | st.sampled_from(NetworkErrorKind),
    origin_status=st.none() | _INTEGER,
    warning=st.none() | _TEXT,
    file_identity=st.none() | _TEXT,
    end_time=st.none() | _INTEGER,
    ended_seq=st.none() | _INTEGER,
    request_id=st.none() | _TEXT,
    operation=st.none() | _TEXT,
    expected_size=st.none() | _INTEGER,
    expected_type=st.none() | _TEXT,
    coding=st.none() | _TEXT,
    final_url_digest=st.none() | _TEXT,
    mirrors=st.just(()) | st.tuples(st.builds(Mirror, url=_JSON_TEXT)),
    origin_digests=st.just(()) | st.tuples(st.builds(OriginDigest, source=_JSON_TEXT, checksum=_JSON_TEXT)),
)
"""Downloads with anything in any field."""

_FRAGMENTS = ("a", "A", "b", "%", "_", "\\", "ä", "Ä", "a%", "_b", "example", "EXAMPLE.com", "q")

FILTERS = st.builds(
    HistoryFilter,
    directory=st.none() | st.sampled_from(["", "a", "a/b", "nowhere"]),
    state=st.none() | st.sampled_from(sorted(FINISHED)),
    contains=st.none() | st.just("") | st.sampled_from(_FRAGMENTS) | st.text("aAbB%_\\äÄ", max_size=3),
    before_ended_seq=st.none() | st.integers(0, 330),
    after_ended_seq=st.none() | st.integers(0, 330),
    has_part=st.sampled_from([None, None, True, False]),
    limit=st.integers(0, 400),
)

_any_examples = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors],
)


def page_of(rows: Sequence[Download], criteria: HistoryFilter) -> list[Download]:
    """Return the expected result of `Records.history` if `rows` are all rows."""
    found = [
        row
        for row in rows
        if row.result.ended_seq is not None
        and (criteria.directory is None or row.request.directory == criteria.directory)
        and (criteria.state is None or row.state == criteria.state)
        and (criteria.has_part is None or (row.progress.part_name is not None) is criteria.has_part)
        and (criteria.before_ended_seq is None or row.result.ended_seq < criteria.before_ended_seq)
        and (criteria.after_ended_seq is None or row.result.ended_seq > criteria.after_ended_seq)
        and (
            not criteria.contains
            or criteria.contains.lower() in row.request.redacted_url.lower()
            or criteria.contains.lower() in row.filename.lower()
        )
    ]
    found.sort(key=lambda row: row.result.ended_seq or 0, reverse=criteria.after_ended_seq is None)
    return found[: criteria.limit]


class RecordsContract:
    """Promises of every implementation of `Records`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Records]:
        """Return an empty store."""
        async with open_store() as opened:
            yield opened

    async def test_the_time_of_creation_is_recorded(self, records: Records) -> None:
        assert await records.created_at() == NOW

    # accept and get

    async def test_an_accepted_download_is_found_by_its_id(self, records: Records) -> None:
        download = sample_download()
        accepted = await records.accept([download])
        assert accepted.replayed is None
        assert await records.get(download.id) == msgspec.structs.replace(download, seq=accepted.seqs[0])

    @pytest.mark.parametrize(
        "id", ["", "nothing", "ä\udcff", str(uuid4())], ids=["empty", "short", "no-unicode", "uuid"]
    )
    async def test_an_unknown_id_has_no_download(self, records: Records, id: str) -> None:
        assert await records.get(id) is None
        assert await records.amend(id, lambda before: before) is None
        assert await records.part_owners([id]) == {}

    async def test_seqs_follow_the_order_of_acceptance(self, records: Records) -> None:
        first = await records.accept([sample_download(), sample_download(), sample_download()])
        second = await records.accept([sample_download()])
        seqs = [*first.seqs, *second.seqs]
        assert seqs == sorted(set(seqs))
        assert len(seqs) == 4

    async def test_an_accept_of_nothing_writes_nothing(self, records: Records) -> None:
        assert list((await records.accept([])).seqs) == []
        assert await records.active(ActiveFilter()) == []

    async def test_many_callers_at_once_each_get_their_own_seq(self, records: Records) -> None:
        downloads = [sample_download() for _ in range(1500)]
        accepted = await asyncio.gather(*(records.accept([download]) for download in downloads))
        assert len({result.seqs[0] for result in accepted}) == 1500
        listed = {row.id: row.seq for row in await records.active(ActiveFilter())}
        assert listed == {download.id: result.seqs[0] for download, result in zip(downloads, accepted, strict=True)}

    async def test_an_accept_is_all_or_none(self, records: Records) -> None:
        (known,) = await added(records, sample_download())
        fresh = sample_download()
        with pytest.raises(StorageError):
            await records.accept([fresh, msgspec.structs.replace(sample_download(), id=known.id)])
        assert await records.get(fresh.id) is None
        assert await present(records, known.id) == known

    async def test_a_refused_download_goes_straight_to_history(self, records: Records) -> None:
        (row,) = await added(records, sample_download(state=State.FAILED))
        assert row.result.ended_seq is not None
        assert await records.active(ActiveFilter()) == []
        assert await records.history(HistoryFilter()) == [row]
        assert await records.last_ended_seq() == row.result.ended_seq

    @_any_examples
    @given(download=DOWNLOADS)
    async def test_every_field_comes_back_as_it_was_written(self, records: Records, download: Download) -> None:
        (seq,) = (await records.accept([download])).seqs
        row = await present(records, download.id)
        assert row == with_fields(download, seq=seq, ended_seq=row.result.ended_seq)
        assert (row.result.ended_seq is not None) == (download.state in FINISHED)

    @_any_examples
    @given(download=DOWNLOADS, changed=DOWNLOADS)
    async def test_amend_writes_every_field(self, records: Records, download: Download, changed: Download) -> None:
        (before,) = await added(records, download)
        result = await records.amend(download.id, lambda row: with_fields(changed, id=row.id, seq=row.seq, ended_seq=7))
        assert result is not None
        assert result[0] == before
        after = await present(records, download.id)
        assert after == result[1]
        assert after == with_fields(changed, id=before.id, seq=before.seq, ended_seq=after.result.ended_seq)
        assert (after.result.ended_seq is not None) == (changed.state in FINISHED)

    async def test_a_download_is_accepted_at_its_position_in_the_waiting_list(self, records: Records) -> None:
        first, second = await added(records, sample_download(), sample_download(priority=3))
        downloads = [sample_download() for _ in range(4)]
        accepted = await records.accept(downloads, positions={0: 0, 2: 1, 3: 99})
        rows = [await present(records, download.id) for download in downloads]
        assert [row.control.priority for row in rows] == [3, 0, 3, 0]
        assert accepted.placed.keys() <= {row.seq for row in rows}
        order = sorted([first, second, *rows], key=lambda row: (-row.control.priority, row.place))
        assert ids(order) == ids([rows[0], rows[2], second, first, rows[1], rows[3]])

    # idempotency keys

    async def test_a_repeated_key_returns_the_first_response_and_writes_nothing(self, records: Records) -> None:
        first = make_response()
        assert (await records.accept([sample_download()], first)).replayed is None
        again = await records.accept(
            [sample_download()], msgspec.structs.replace(first, status=500, body=b"other", created=NOW + 1)
        )
        assert again.replayed == first
        assert list(again.seqs) == []
        assert len(await records.active(ActiveFilter())) == 1

    async def test_the_same_key_at_the_same_time_writes_once(self, records: Records) -> None:
        results = await asyncio.gather(*(records.accept([sample_download()], make_response()) for _ in range(50)))
        assert sum(result.replayed is None for result in results) == 1
        assert len(await records.active(ActiveFilter())) == 1

    async def test_a_key_with_another_fingerprint_is_refused(self, records: Records) -> None:
        await records.accept([sample_download()], make_response(fingerprint=b"one"))
        with pytest.raises(IdempotencyKeyReusedError):
            await records.accept([sample_download()], make_response(fingerprint=b"two"))
        assert len(await records.active(ActiveFilter())) == 1

    async def test_a_key_belongs_to_its_user(self, records: Records) -> None:
        await records.accept([sample_download()], make_response(user="ann", fingerprint=b"one"))
        assert (
            await records.accept([sample_download()], make_response(user="bob", fingerprint=b"two"))
        ).replayed is None

    async def test_a_key_is_kept_for_24_hours_and_then_new(self, records: Records, clock: ManualClock) -> None:
        await records.accept([sample_download()], make_response())
        clock.now = NOW + DAY
        assert (await records.accept([sample_download()], make_response(created=clock.now))).replayed is not None
        clock.now = NOW + DAY + 1
        renewed = make_response(fingerprint=b"another", created=clock.now)
        assert (await records.accept([sample_download()], renewed)).replayed is None
        assert (await records.accept([sample_download()], renewed)).replayed == renewed
        assert len(await records.active(ActiveFilter())) == 2

    async def test_a_failed_accept_does_not_store_its_response(self, records: Records) -> None:
        (known,) = await added(records, sample_download())
        with pytest.raises(StorageError):
            await records.accept([known], make_response())
        assert (await records.accept([sample_download()], make_response())).replayed is None

    # claim

    async def test_claim_starts_a_run(self, records: Records) -> None:
        (queued,) = await added(records, sample_download(not_before=NOW + 5))
        (held,) = await records.claim([queued.seq])
        assert held == with_fields(queued, state=State.STARTING, epoch=1, attempt=1, not_before=None)
        assert await present(records, held.id) == held

    async def test_claim_continues_a_retrying_download(self, records: Records) -> None:
        (waiting,) = await added(records, sample_download(state=State.RETRYING, epoch=4))
        (held,) = await records.claim([waiting.seq])
        assert (held.state, held.epoch, held.progress.attempt) == (State.DOWNLOADING, 5, 1)

    async def test_claim_returns_downloads_in_the_requested_order(self, records: Records) -> None:
        rows = await added(records, sample_download(), sample_download(), sample_download())
        seqs = [rows[2].seq, rows[0].seq, 10**9, rows[2].seq, rows[1].seq]
        assert [held.seq for held in await records.claim(seqs)] == [rows[2].seq, rows[0].seq, rows[1].seq]

    @pytest.mark.parametrize("state", sorted(set(State) - {State.QUEUED, State.RETRYING}))
    async def test_claim_leaves_out_downloads_that_do_not_wait(self, records: Records, state: State) -> None:
        (row,) = await added(records, sample_download(state=state))
        assert await records.claim([row.seq]) == []
        assert await present(records, row.id) == row

    @pytest.mark.parametrize("desired", [Desired.PAUSE, Desired.CANCEL])
    async def test_claim_leaves_out_downloads_that_a_user_stops(self, records: Records, desired: Desired) -> None:
        (row,) = await added(records, sample_download(desired=desired))
        assert await records.claim([row.seq]) == []
        assert await present(records, row.id) == row

    async def test_one_of_many_concurrent_claims_gets_the_download(self, records: Records) -> None:
        (row,) = await added(records, sample_download())
        results = await asyncio.gather(*(records.claim([row.seq]) for _ in range(20)))
        assert sum(map(len, results)) == 1
        assert (await present(records, row.id)).epoch == 1

    async def test_a_claim_of_nothing_returns_nothing(self, records: Records) -> None:
        assert await records.claim([]) == []

    # save

    async def test_save_writes_the_fields_of_the_run(self, records: Records) -> None:
        held = await claimed(records, sample_download())
        changed = with_fields(
            held,
            origin="http://other.example.com:81",
            source=1,
            state=State.RETRYING,
            filename="other.csv",
            attempt=2,
            failures=1,
            not_before=NOW + 3,
            time_spent=1.5,
            received=10,
            total=20,
            validator='"v1"',
            part_name=".other.csv.part",
            publishing=True,
            last_modified=5,
            received_ranges="0-1,2-3",
            url_changed=True,
            content_type="text/csv",
            checksum="md5=00",
            error=ErrorCode.NETWORK_ERROR,
            detail="reset",
        )
        assert await records.save(changed) == changed
        assert await present(records, held.id) == changed

    async def test_save_does_not_change_the_fields_of_users(self, records: Records) -> None:
        held = await claimed(records, sample_download())
        await records.amend(
            held.id,
            lambda row: with_fields(
                row,
                desired=Desired.PAUSE,
                priority=7,
                speed_limit=99,
                directory="other",
                part_directory="Downloads",
                requested_name="ä",
                attempt_options=AttemptOptions(max_retries=3),
            ),
        )
        saved = await records.save(with_fields(held, state=State.DOWNLOADING, received=5))
        assert saved is not None
        assert (saved.control.desired, saved.control.priority, saved.control.speed_limit) == (Desired.PAUSE, 7, 99)
        assert (saved.request.directory, saved.part_directory, saved.request.requested_name) == (
            "other",
            "Downloads",
            "ä",
        )
        assert saved.request.attempt_options == AttemptOptions(max_retries=3)
        assert (saved.state, saved.progress.received) == (State.DOWNLOADING, 5)
        assert await present(records, held.id) == saved

    async def test_save_of_an_end_moves_the_download_to_history(self, records: Records) -> None:
        held = await claimed(records, sample_download())
        saved = await records.save(with_fields(held, state=State.CANCELLED, end_time=9))
        assert saved is not None
        assert saved.result.ended_seq == await records.last_ended_seq()
        assert await records.history(HistoryFilter()) == [saved]
        assert await records.active(ActiveFilter()) == []

    async def test_each_end_is_handed_over_once_in_order_before_its_caller_continues(self, records: Records) -> None:
        ends: list[RecordedEnd] = []
        records.set_end_listener(ends.extend)
        held, other = await claimed(records, sample_download()), await claimed(records, sample_download())
        queued = sample_download()
        await records.accept([sample_download(state=State.FAILED), queued, sample_download(state=State.FAILED)])
        assert [end.before for end in ends] == [None, None]
        cancelled = await records.amend(queued.id, lambda row: with_fields(row, state=State.CANCELLED))
        assert cancelled is not None
        assert ends[2:] == [RecordedEnd(download=cancelled[1], before=State.QUEUED)]
        saved = await records.save_all([with_fields(one, state=State.COMPLETED) for one in (held, other)])
        assert ends[3:] == [RecordedEnd(download=row, before=None) for row in saved if row is not None]
        # Neither a change of a row that has ended nor a retry is an end.
        await records.amend(queued.id, lambda row: with_fields(row, detail="seen"))
        await records.amend(queued.id, lambda row: with_fields(row, state=State.QUEUED))
        assert await records.save(with_fields(held, state=State.FAILED)) is None
        assert len(ends) == 5
        seqs = [end.download.result.ended_seq or 0 for end in ends]
        assert seqs == sorted(set(seqs))

    @pytest.mark.parametrize("epoch", [0, 2], ids=["earlier", "later"])
    async def test_save_of_another_epoch_is_refused(self, records: Records, epoch: int) -> None:
        held = await claimed(records, sample_download())
        assert await records.save(with_fields(held, epoch=epoch, received=5)) is None
        assert await present(records, held.id) == held

    async def test_save_of_an_ended_download_is_refused(self, records: Records) -> None:
        held = await claimed(records, sample_download())
        ended = await records.save(msgspec.structs.replace(held, state=State.FAILED))
        assert await records.save(msgspec.structs.replace(held, state=State.COMPLETED)) is None
        assert await present(records, held.id) == ended

    async def test_rows_saved_together_have_results_of_their_own(self, records: Records) -> None:
        first, second = await claimed(records, sample_download()), await claimed(records, sample_download())
        rows = [
            with_fields(first, state=State.COMPLETED),
            with_fields(second, epoch=7),
            with_fields(second, state=State.DOWNLOADING, received=5),
        ]
        ended, refused, running = await records.save_all(rows)
        assert ended is not None
        assert ended.result.ended_seq == await records.last_ended_seq()
        assert refused is None
        assert await present(records, second.id) == running == rows[2]
        assert await present(records, first.id) == ended

    async def test_save_of_an_unknown_download_is_refused(self, records: Records) -> None:
        assert await records.save(sample_download()) is None

    # amend

    async def test_amend_returns_the_row_before_and_after(self, records: Records) -> None:
        (row,) = await added(records, sample_download())
        result = await records.amend(row.id, lambda before: with_fields(before, priority=3))
        assert result == (row, with_fields(row, priority=3))

    async def test_an_exception_of_a_change_is_raised_and_nothing_is_written(self, records: Records) -> None:
        (row,) = await added(records, sample_download())

        def change(before: Download) -> Download:
            raise LookupError(before.id)

        with pytest.raises(LookupError, match=row.id):
            await records.amend(row.id, change)
        assert await present(records, row.id) == row

    async def test_concurrent_amends_are_all_applied(self, records: Records) -> None:
        (row,) = await added(records, sample_download())

        def one_more(before: Download) -> Download:
            return with_fields(before, priority=before.control.priority + 1)

        await asyncio.gather(*(records.amend(row.id, one_more) for _ in range(200)))
        assert (await present(records, row.id)).control.priority == 200

    async def test_a_change_of_the_id_is_refused(self, records: Records) -> None:
        (row,) = await added(records, sample_download())
        with pytest.raises(ValueError, match="id"):
            await records.amend(row.id, lambda before: msgspec.structs.replace(before, id=str(uuid4())))
        assert await present(records, row.id) == row

    async def test_an_ended_download_keeps_its_place_in_history(self, records: Records) -> None:
        first, _ = await added(records, sample_download(state=State.FAILED), sample_download(state=State.FAILED))
        result = await records.amend(first.id, lambda before: with_fields(before, detail="seen"))
        assert result is not None
        assert result[1].result.ended_seq == first.result.ended_seq

    async def test_a_retried_download_is_in_the_history_once(self, records: Records) -> None:
        (first, second) = await added(
            records, sample_download(state=State.FAILED), sample_download(state=State.COMPLETED)
        )
        result = await records.amend(first.id, lambda before: msgspec.structs.replace(before, state=State.QUEUED))
        assert result is not None
        assert result[1].result.ended_seq is None
        assert ids(await records.history(HistoryFilter())) == [second.id]
        assert ids(await records.active(ActiveFilter())) == [first.id]
        (held,) = await records.claim([first.seq])
        await records.save(msgspec.structs.replace(held, state=State.COMPLETED))
        assert ids(await records.history(HistoryFilter())) == [first.id, second.id]
        assert await records.active(ActiveFilter()) == []

    async def test_the_number_of_a_retried_download_is_not_assigned_again(self, records: Records) -> None:
        (first,) = await added(records, sample_download(state=State.FAILED))
        await records.amend(first.id, lambda before: msgspec.structs.replace(before, state=State.QUEUED))
        (second,) = await added(records, sample_download(state=State.FAILED))
        assert first.result.ended_seq is not None
        assert second.result.ended_seq is not None
        assert second.result.ended_seq > first.result.ended_seq

    # listings

    async def test_active_lists_the_oldest_first_and_in_pages(self, records: Records) -> None:
        rows = await added(records, *(sample_download() for _ in range(5)))
        page = await records.active(ActiveFilter(limit=3))
        assert page == rows[:3]
        assert await records.active(ActiveFilter(limit=3, after_seq=page[-1].seq)) == rows[3:]

    async def test_active_takes_known_downloads_without_reading_them(self, records: Records) -> None:
        rows = await added(records, *(sample_download() for _ in range(4)))
        known = {row.seq: with_fields(row, received=7) for row in rows}
        assert await records.active(ActiveFilter(), known) == [known[row.seq] for row in rows]
        # A finished download is not listed, even if it is known; an unknown one is read.
        cancelled = await records.amend(rows[1].id, lambda row: with_fields(row, state=State.CANCELLED, end_time=1))
        assert cancelled is not None
        del known[rows[2].seq]
        listed = await records.active(ActiveFilter(), known)
        assert listed == [known[rows[0].seq], rows[2], known[rows[3].seq]]
        assert await records.active(ActiveFilter(limit=1), known) == [known[rows[0].seq]]

    async def test_active_lists_by_directory_and_state(self, records: Records) -> None:
        rows = await added(
            records, *(sample_download(state=state, directory=d) for state in sorted(State) for d in ("", "a", "a/b"))
        )
        for directory in (None, "", "a", "a/b", "b"):
            for states in (None, frozenset({State.PAUSED}), RUNNING, FINISHED, frozenset[State]()):
                expected = [
                    row
                    for row in rows
                    if row.state in (ACTIVE if states is None else ACTIVE & states)
                    and directory in (None, row.request.directory)
                ]
                assert await records.active(ActiveFilter(directory=directory, states=states)) == expected

    async def test_active_lists_by_ids(self, records: Records) -> None:
        rows = await added(records, *(sample_download(directory=directory) for directory in "abba"))
        cancelled = await records.amend(rows[2].id, lambda row: with_fields(row, state=State.CANCELLED, end_time=1))
        assert cancelled is not None
        wanted = [rows[3].id, "unknown", rows[2].id, rows[0].id]
        assert await records.active(ActiveFilter(ids=wanted)) == [rows[0], rows[3]]
        assert await records.active(ActiveFilter(ids=wanted, limit=1)) == [rows[0]]
        assert await records.active(ActiveFilter(ids=[rows[1].id], directory="a")) == []
        assert await records.active(ActiveFilter(ids=[])) == []

    @_any_examples
    @given(criteria=FILTERS)
    async def test_a_history_page_agrees_with_a_plain_filter(self, records: Records, criteria: HistoryFilter) -> None:
        if not await records.last_ended_seq():
            await self._fill(records)
        rows = await records.history(HistoryFilter(limit=1000)) + await records.active(ActiveFilter())
        assert len(rows) == 400
        assert await records.history(criteria) == page_of(rows, criteria)

    async def test_the_history_is_filtered_by_the_time_of_the_end(self, records: Records) -> None:
        ended = [
            with_fields(sample_download(state=state), start_time=5, end_time=end_time)
            for state, end_time in ((State.COMPLETED, 10), (State.FAILED, 20), (State.FAILED, None))
        ]
        first, _, refused = await added(records, *ended)
        assert ids(await records.history(HistoryFilter(ended_before=20))) == [refused.id, first.id]
        assert ids(await records.history(HistoryFilter(ended_before=20, state=State.FAILED))) == [refused.id]

    # removal from the history

    async def test_removed_downloads_are_unknown(self, records: Records) -> None:
        downloads = [sample_download(state=State.FAILED, part_name=".p") for _ in range(3)]
        first, second, third = await added(records, *downloads)
        rows = await records.ended_rows(HistoryFilter(limit=2))
        assert [(row.id, row.directory, row.part_name, row.end_time) for row in rows] == [
            (row.id, "Downloads", ".p", row.start_time) for row in (third, second)
        ]
        assert await records.remove_ended(rows) == rows
        assert await records.get(third.id) is None
        assert ids(await records.history(HistoryFilter())) == [first.id]
        assert await records.remove_ended(rows) == []
        assert await records.remove_ended([]) == []

    async def test_a_download_that_was_retried_is_not_removed(self, records: Records) -> None:
        retried, ended_again, removed = await added(records, *(sample_download(state=State.FAILED) for _ in range(3)))
        rows = await records.ended_rows(HistoryFilter())
        for id in (retried.id, ended_again.id):
            await records.amend(id, lambda row: msgspec.structs.replace(row, state=State.QUEUED))
        await records.amend(ended_again.id, lambda row: msgspec.structs.replace(row, state=State.FAILED))
        assert [row.id for row in await records.remove_ended(rows)] == [removed.id]
        assert ids(await records.active(ActiveFilter())) == [retried.id]
        assert ids(await records.history(HistoryFilter())) == [ended_again.id]

    async def test_numbers_of_removed_downloads_are_not_assigned_again(self, records: Records) -> None:
        before = await added(records, sample_download(), sample_download(state=State.FAILED))
        assert await records.last_removal() == 0
        await records.remove_ended(await records.ended_rows(HistoryFilter()))
        (after,) = await added(records, sample_download(state=State.FAILED))
        assert after.seq > before[1].seq
        assert (before[1].result.ended_seq, after.result.ended_seq) == (1, 2)
        assert await records.last_removal() == 1

    async def test_the_newest_ends_are_counted(self, records: Records) -> None:
        rows = await added(records, *(sample_download(state=State.FAILED) for _ in range(3)))
        assert await records.ended_seq_of_newest(0) == rows[2].result.ended_seq
        assert await records.ended_seq_of_newest(2) == rows[0].result.ended_seq
        assert await records.ended_seq_of_newest(3) is None

    async def test_pages_of_history_join_without_gap_or_repeat(self, records: Records) -> None:
        rows = await added(records, *(sample_download(state=State.COMPLETED) for _ in range(25)))
        seen: list[Download] = []
        while page := await records.history(
            HistoryFilter(limit=10, before_ended_seq=seen[-1].result.ended_seq if seen else None)
        ):
            seen += page
        assert seen == rows[::-1]

    async def test_a_long_search_text_finds_nothing(self, records: Records) -> None:
        await added(records, sample_download(state=State.COMPLETED))
        assert await records.history(HistoryFilter(contains="%" * 100_000)) == []

    async def test_search_does_not_find_secrets(self, records: Records) -> None:
        secret = with_fields(
            sample_download(state=State.COMPLETED),
            url="https://u:pass@example.com/",
            redacted_url="https://example.com/",
        )
        await added(records, secret)
        assert await records.history(HistoryFilter(contains="pass")) == []
        assert ids(await records.history(HistoryFilter(contains="EXAMPLE"))) == [secret.id]

    async def test_an_empty_history_ends_at_0(self, records: Records) -> None:
        assert await records.last_ended_seq() == 0
        assert await records.history(HistoryFilter()) == []

    # start

    async def test_running_rows_are_those_in_a_running_state(self, records: Records) -> None:
        rows = await added(records, *(sample_download(state=state) for _ in range(120) for state in sorted(State)))
        held = [row async for row in records.running_rows()]
        assert held == [row for row in rows if row.state in RUNNING]

    async def test_waiting_returns_all_waiting_downloads(self, records: Records) -> None:
        rows = await added(
            records,
            *(
                with_fields(
                    sample_download(
                        state=state,
                        origin=f"https://{number}.example",
                        priority=number,
                        not_before=float(number) or None,
                    ),
                    place=number / 2 or None,
                )
                for number in range(3)
                for state in sorted(State)
            ),
        )
        expected = [
            WaitingDownload.of(row, not_before=row.progress.not_before)
            for row in rows
            if row.state in (State.QUEUED, State.RETRYING)
        ]
        assert [waiting async for chunk in records.waiting() for waiting in chunk] == expected

    async def test_waiting_comes_in_chunks(self, records: Records) -> None:
        accepted = await records.accept([sample_download() for _ in range(12_000)])
        chunks = [chunk async for chunk in records.waiting()]
        assert max(map(len, chunks)) <= 5_000
        assert [waiting.seq for chunk in chunks for waiting in chunk] == list(accepted.seqs)

    async def test_nothing_waits_or_runs_at_first(self, records: Records) -> None:
        assert [chunk async for chunk in records.waiting()] == []
        assert [row async for row in records.running_rows()] == []

    async def test_part_owners_are_active_downloads_and_ended_ones_with_a_part(self, records: Records) -> None:
        named, nameless, kept, ended = await added(
            records,
            sample_download(part_name=".a.part"),
            sample_download(),
            sample_download(state=State.FAILED, part_name=".b.part"),
            sample_download(state=State.FAILED),
        )
        (nameless,) = await records.claim([nameless.seq])
        assert await records.part_owners([named.id, nameless.id, kept.id, ended.id, str(uuid4())]) == {
            named.id: PartOwner(state=State.QUEUED, epoch=0, part_name=".a.part"),
            nameless.id: PartOwner(state=State.STARTING, epoch=1, part_name=None),
            kept.id: PartOwner(state=State.FAILED, epoch=0, part_name=".b.part"),
        }

    async def test_the_end_of_a_run_takes_the_secrets_out_of_the_urls(self, records: Records) -> None:
        for state, url in ((State.COMPLETED, "https://a/x"), (State.FAILED, "https://u:p@a/x")):
            held = await claimed(records, with_fields(sample_download("https://u:p@a/x"), redacted_url="https://a/x"))
            ended = await records.save(with_fields(held, state=state, url=url))
            assert ended is not None
            assert ended.request.url == url
            assert (await present(records, held.id)).request == ended.request

    async def test_any_number_of_part_owners_can_be_requested(self, records: Records) -> None:
        (row,) = await added(records, sample_download(part_name="p"))
        assert set(await records.part_owners([*(str(uuid4()) for _ in range(12_000)), row.id])) == {row.id}
        assert await records.part_owners([]) == {}

    async def _fill(self, records: Records) -> None:
        dice = random.Random(5)
        letters = [*string.ascii_letters[:3], "B", "%", "_", "\\", "ä", "Ä", "."]
        await records.accept(
            [
                sample_download(
                    f"https://example.com/{''.join(dice.choices(letters, k=4))}",
                    state=dice.choice(sorted(FINISHED)) if number < 320 else State.QUEUED,
                    directory=dice.choice(["", "a", "a/b"]),
                    filename="".join(dice.choices(letters, k=5)),
                    part_name=dice.choice([None, None, ".x.part"]),
                )
                for number in range(400)
            ]
        )

    async def test_counts_are_those_of_the_active_states(self, records: Records) -> None:
        assert await records.counts() == {}
        await added(
            records,
            sample_download(),
            sample_download(),
            sample_download(state=State.PAUSED),
            sample_download(state=State.FAILED),
        )
        assert await records.counts() == {State.QUEUED: 2, State.PAUSED: 1}

    async def test_the_ended_downloads_are_counted(self, records: Records) -> None:
        assert await records.ended_count() == 0
        await added(records, sample_download(), *(sample_download(state=State.FAILED) for _ in range(2)))
        assert await records.ended_count() == 2

    async def test_downloads_of_a_fenced_driver_are_not_accepted(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.imports.operations.create(make_operation(id="run"))
            claimed = await store.imports.operations.claim("run", ANY_STATE)
            assert claimed is not None
            download = sample_download()
            for driver in (Driver("run", 0), Driver("unknown", 0)):
                with pytest.raises(ImportFencedError):
                    await store.accept([download], make_response(), driver=driver)
            assert await store.get(download.id) is None
            assert (await store.accept([download], make_response(), driver=claimed.driver)).seqs

    # -- opening again ------------------------------------------------------------------------------------------------

    async def test_numbers_of_removed_downloads_are_not_assigned_after_a_restart(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            (first,) = await added(records, sample_download(state=State.FAILED))
            await records.remove_ended(await records.ended_rows(HistoryFilter()))
        async with open_store() as records:
            (second,) = await added(records, sample_download(state=State.FAILED))
            assert second.seq > first.seq
            assert second.result.ended_seq == 2
            assert await records.last_removal() == 1

    async def test_written_rows_are_there_after_opening_again(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            rows = await added(records, sample_download(), sample_download(state=State.FAILED))
            await records.accept([], make_response())
        async with open_store() as records:
            assert [await records.get(row.id) for row in rows] == rows
            assert (await records.accept([sample_download()], make_response())).replayed == make_response()
            (later,) = await added(records, sample_download(state=State.FAILED))
            assert later.seq > rows[-1].seq
            assert later.result.ended_seq == (rows[-1].result.ended_seq or 0) + 1

    async def test_a_number_of_the_history_is_not_assigned_again_after_a_restart(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            _, last = await added(records, sample_download(state=State.FAILED), sample_download(state=State.FAILED))
            await records.amend(last.id, lambda before: msgspec.structs.replace(before, state=State.QUEUED))
        async with open_store() as records:
            (following,) = await added(records, sample_download(state=State.FAILED))
        assert last.result.ended_seq is not None
        assert following.result.ended_seq is not None
        assert following.result.ended_seq > last.result.ended_seq

    # -- origins -------------------------------------------------------------------------------------------------------

    async def test_no_origin_is_recorded_at_first(self, records: Records) -> None:
        assert await records.origins.load() == []

    async def test_the_record_of_an_origin_is_replaced_and_removed(self, records: Records) -> None:
        first = OriginRecord(
            origin="http://a.example:81",
            backoff_until=0.0,
            is_open=True,
            probe_at=NOW + 5,
            failures=2,
            failing_since=NOW,
            has_answered=True,
            error="refused \udcff",
        )
        other = OriginRecord(
            origin="https://b", backoff_until=NOW + 9, is_open=False, probe_at=0.0, failures=0, has_answered=False
        )
        await records.origins.save(first)
        await records.origins.save(other)
        assert await records.origins.load() == [other, first]
        later = replace(first, failures=3, probe_at=NOW + 20)
        await records.origins.save(later)
        assert await records.origins.load() == [later, other]
        await records.origins.remove(later.origin)
        await records.origins.remove("unknown")
        assert await records.origins.load() == [other]
