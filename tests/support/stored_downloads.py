"""Downloads for tests of records and of their readers."""

from collections.abc import Sequence
from uuid import uuid4

from support.clocks import NOW
from support.downloads import make_download

from downloadd.download import Desired, Download
from downloadd.records.protocol import Records, StoredResponse
from downloadd.states import State


def sample_download(
    url: str = "https://example.com/data.csv",
    *,
    state: State = State.QUEUED,
    directory: str = "Downloads",
    filename: str = "data.csv",
    origin: str = "https://example.com",
    priority: int = 0,
    desired: Desired = Desired.RUN,
    epoch: int = 0,
    part_name: str | None = None,
    not_before: float | None = None,
    user: str = "ann",
) -> Download:
    """Return a download with a new id and these fields."""
    return make_download(
        id=str(uuid4()),
        user=user,
        url=url,
        redacted_url=url,
        origin=origin,
        directory=directory,
        timeout=300,
        start_time=int(NOW),
        filename=filename,
        state=state,
        priority=priority,
        desired=desired,
        epoch=epoch,
        part_name=part_name,
        not_before=not_before,
    )


def make_response(
    key: str = "k", *, user: str = "ann", fingerprint: bytes = b"f", created: float = NOW
) -> StoredResponse:
    """Return a response to store under an Idempotency-Key."""
    return StoredResponse(user=user, key=key, fingerprint=fingerprint, status=201, body=b"{}", created=created)


async def added(records: Records, *downloads: Download) -> list[Download]:
    """Accept the downloads and return their rows."""
    seqs = (await records.accept(downloads)).seqs
    assert len(seqs) == len(downloads)
    return [await present(records, download.id) for download in downloads]


async def present(records: Records, id: str) -> Download:
    """Return the row of a download, which must exist."""
    found = await records.get(id)
    assert found is not None
    return found


async def claimed(records: Records, download: Download) -> Download:
    """Accept and claim a download, and return its row."""
    (row,) = await added(records, download)
    (held,) = await records.claim([row.seq])
    return held


def ids(downloads: Sequence[Download]) -> list[str]:
    """Return the ids of the downloads, in order."""
    return [download.id for download in downloads]
