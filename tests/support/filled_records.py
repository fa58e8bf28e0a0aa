"""Records with something of each kind, and all that the protocols of a store read of them."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace
from support.clocks import NOW
from support.downloads import with_fields
from support.fake_imports import make_operation, make_run
from support.stored_downloads import added, claimed, make_response, sample_download

from downloadd.attempt_options import AttemptOptions
from downloadd.delivery import Delivery
from downloadd.download import Desired, Download, Mirror, OriginDigest, PendingRule, ResumedBy, SupersededPart
from downloadd.errors import ErrorCode, NetworkErrorKind
from downloadd.import_operation import (
    PENDING_FILES,
    Channel,
    Driver,
    FileLink,
    ImportErrorCode,
    ImportState,
    PendingRequest,
    Selection,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.manager import lifecycle
from downloadd.queue_move import TO_TOP
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.records.store import Store
from downloadd.records.user_days import DayBytes
from downloadd.remote_upload import RemoteUpload, UploadedPart
from downloadd.request_fields import Credentials, RequestFields
from downloadd.root_identity import RootIdentity
from downloadd.schedule import Schedule, ScheduleDefinition, ScheduleSource
from downloadd.states import State

ODD: Final = "ä\0\x10\udcff/ü"
"""Text that PostgreSQL does not store as it is."""
GID: Final = "fedcba9876543210"
RESPONSE: Final = make_response("key", fingerprint=b"\0f")
_BODY: Final = b'{"a": "\xff\0"}'


_SCHEDULE: Final = Schedule(
    name="a",
    source=ScheduleSource.API,
    created=NOW,
    definition=ScheduleDefinition(
        cron="0 2 * * *", time_zone="UTC", url="https://a/f", directory="", filename="f", keep=1, user="u"
    ),
)


_UPLOAD: Final = RemoteUpload(
    download_id="a", storage="s3://b", key="ü/f", size=2**40, sha256="0", part_size=5, begun=NOW
)


def make_deliveries(download: Download) -> Sequence[Delivery]:
    """Return the delivery to a hook for every end."""
    id = f"{download.id}.end"
    return [Delivery(event_id=id, hook="one", download_id=download.id, body=_BODY, created=NOW, due=NOW + 1)]


async def fill(store: Store) -> None:
    """Add something of each kind; the last download and the newest end are removed again."""
    await _add_active(store)
    await _add_ended(store)
    await _add_imports(store)
    for name in ("a", "b"):
        await store.schedules.add(replace(_SCHEDULE, name=name))
    for name in ("a", "b"):
        upload = replace(_UPLOAD, download_id=name)
        await store.uploads.begin(upload)
        await store.uploads.set_id(upload, "u")
    await store.uploads.add_part(replace(_UPLOAD, upload_id="u"), UploadedPart(number=1, etag="e", checksum="c="))
    store.user_days.note(DayBytes(user="ann", day="2026-12-01", received=7))
    await store.save(await claimed(store, sample_download()))
    await store.storage_root.save(RootIdentity(marker="m", path="/ü", device="8:1"))
    for number in range(3):
        await store.origins.save(
            OriginRecord(
                origin=f"https://h{number}.example.com",
                backoff_until=NOW + number,
                is_open=bool(number),
                probe_at=NOW,
                failures=number,
                failing_since=None if number else NOW,
                has_answered=True,
                error=ODD,
            )
        )
    store.user_files.owners = {"ann"}
    (file,) = await added(store, with_fields(sample_download(state=State.COMPLETED, filename=ODD), total=7))
    await store.remove_ended(await store.ended_rows(HistoryFilter(limit=1, state=file.state)))
    # Their numbers are not given again.
    (last,) = await added(store, sample_download())
    await store.amend(last.id, lambda row: lifecycle.cancel(row, now=NOW))
    await store.remove_ended(await store.ended_rows(HistoryFilter(limit=1)))


async def _add_active(store: Store) -> None:
    full = with_fields(
        sample_download("https://example.com/a?x=1", not_before=NOW + 5, priority=3, part_name=".part"),
        request_id="r",
        url="https://ann:secret@example.com/a?x=1",
        mirrors=(Mirror(url="https://mirror.example.com/a"),),
        requested_name=ODD,
        requested_checksum="md5=0",
        expected_size=1 << 40,
        expected_type="image/*",
        segments=4,
        fields=RequestFields(headers=(("A", "b"),), auth=Credentials(user="u", password="secret")),
        gid=GID,
        attempt_options=AttemptOptions(max_retries=0, stall_timeout=1.5),
        pending_rules=(PendingRule(name="r", types=("video/*",), min_size=1, directory="films", max_retries=None),),
        part_directory="elsewhere",
        skip_same=True,
        speed_limit=7,
        source=1,
        attempt=2,
        failures=1,
        retrying_since=NOW,
        time_spent=1.5,
        received=10,
        received_ranges="0-4,6-10",
        url_changed=True,
        total=20,
        validator='"v"',
        coding="gzip",
        final_url_digest="d",
        origin_digests=(OriginDigest(source="Digest", checksum="md5=0"),),
        last_modified=1,
        weak_tag='W/"v"',
        resumed_by=ResumedBy.OVERLAP,
        superseded=SupersededPart(part_name=".old", received=12),
        strict_resume=True,
        error=ErrorCode.NETWORK_ERROR,
        detail=ODD,
        cause=NetworkErrorKind.CUT,
        origin_status=503,
        warning="w",
    )
    await store.accept([with_fields(full, state=State.RETRYING)], RESPONSE)
    await added(store, *(sample_download(filename=f"{ODD}{n}", priority=n % 2) for n in range(4)))
    await added(store, sample_download(state=State.PAUSED, desired=Desired.PAUSE))
    await claimed(store, sample_download())
    waiting = await store.queue.page(0, 99)
    await store.queue.move(waiting[-1].id, TO_TOP, lambda row: None)


async def _add_ended(store: Store) -> None:
    rows = await added(store, *(sample_download(directory=f"D{n}", filename=f"E{n}.ÄB") for n in range(5)))
    # Not in the order of their acceptance.
    for row in (rows[3], rows[0], rows[4], rows[1]):
        await store.amend(row.id, lambda row: lifecycle.cancel(row, now=NOW))
    failed = {"state": State.FAILED, "end_time": int(NOW), "part_name": ".kept", "received": 5, "detail": ODD}
    await store.amend(
        rows[2].id,
        lambda row: with_fields(row, error=ErrorCode.NETWORK_ERROR, url="https://u:secret@example.com/", **failed),
    )
    # Its number of an end is withdrawn.
    await store.amend(rows[1].id, lambda row: with_fields(row, state=State.QUEUED, end_time=None, error=None))
    await store.results.clear_all()
    (later, shown) = await added(store, sample_download(), sample_download())
    for row in (later, shown):
        await store.amend(row.id, lambda row: lifecycle.cancel(row, now=NOW))
    await store.amend(later.id, lambda row: with_fields(row, cleared=True))


async def _add_imports(store: Store) -> None:
    operations, contents, files = store.imports.operations, store.imports.contents, store.imports.files
    failed = replace(
        make_operation(id="f", state=ImportState.FAILED), reason=ODD, error_code=ImportErrorCode.FILE_TOO_LARGE
    )
    await operations.create(failed)
    await operations.create(make_operation(id="i", user="ann", started_at=5))
    links = [
        FileLink(file_id=f"F{n}", url="http://h/", name=ODD.replace("\udcff", ""), channel_id=f"C{n % 2}", size=n)
        for n in range(4)
    ]
    links[0] = replace(links[0], request_fields=RequestFields(headers=(("A", "secret"),)))
    await contents.add(
        Driver("i", 0),
        [
            WorkspaceUser(user_id="U\0", username="ann", avatar_url="http://h/1"),
            WorkspaceUser(user_id="U2", username="bob"),
            Channel(channel_id="C0", name="general", directory="d"),
            Channel(channel_id="C1", name="random"),
            *links,
            FileLink(file_id="G", member="uploads/g", channel_id="C1"),
            SkippedEntry(reason=SkipReason.DELETED, detail="gone", channel_id="C0"),
        ],
    )
    await contents.select(Driver("i", 0), Selection(users=frozenset({"U2"}), channels=None))
    await files.reserve(make_run("run", "ann"), PendingRequest(kind=PENDING_FILES))
    ids = iter(("d0", "d1"))
    await files.claim(Driver("run", 0), 2, lambda: next(ids))
    rows = await added(store, *(with_fields(sample_download(), id=id, operation="run") for id in ("d0", "d1")))
    await store.amend(rows[0].id, lambda row: with_fields(row, state=State.COMPLETED, end_time=int(NOW), total=3))
    await files.apply_outcomes()


async def read_all(store: Store) -> dict[str, Any]:
    """Return what the protocols of a store read, by name."""
    active, history = await store.active(ActiveFilter()), await store.history(HistoryFilter())
    downloads = [*active, *history]
    imports = store.imports
    return {
        "active": active,
        "history": history,
        "found": [row.seq for row in await store.history(HistoryFilter(contains="e3.äb"))],
        "ended rows": await store.ended_rows(HistoryFilter(after_ended_seq=0)),
        "running": [row.id async for row in store.running_rows()],
        "waiting": [row async for chunk in store.waiting() for row in chunk],
        "queue": await store.queue.page(0, 99),
        "last seq": await store.queue.last_seq(),
        "counts": await store.counts(),
        "ended count": await store.ended_count(),
        "last ended_seq": await store.last_ended_seq(),
        "last removal": await store.last_removal(),
        "created at": await store.created_at(),
        "owners": await store.part_owners([row.id for row in downloads]),
        "results": await store.results.page(0, 99),
        "gids": [await store.gids.find(row.gid) for row in downloads],
        "kept": (await store.kept_parts.page(), await store.kept_parts.usage()),
        "secrets": await store.kept_parts.with_secrets(after=(0, 0), until=int(NOW) + 1),
        "root": await store.storage_root.load(),
        "uploads": [await store.uploads.find(name) for name in ("a", "b")],
        "user files": await store.user_files.files("ann"),
        "user days": await store.user_days.others({"ann": "2026-12-01"}),
        "schedules": await store.schedules.list(),
        "origins": sorted(await store.origins.load(), key=lambda record: record.origin),
        "operations": await imports.operations.latest(99),
        "unfinished": await imports.operations.unfinished(),
        "sources": await imports.operations.sources("run"),
        "users": await imports.contents.users("i", "", 99),
        "channels": await imports.contents.channels("i", "", 99),
        "skipped": await imports.contents.skipped("i", 0, 99),
        "files": await imports.files.of_import("i", 0, 99),
        "files of the run": await imports.files.of_run("run", 0, 99),
        "count": await imports.files.count("run"),
        "messages": await store.deliveries.waiting(),
    }
