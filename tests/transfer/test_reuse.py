"""Attempts that copy the file of an earlier download, with a scripted origin and a real disk."""

import errno
import os
from pathlib import Path

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download
from support.scripted_session import Answer, ScriptedFile, ScriptedSession
from transfer.test_attempt import CUT, Transfers, asked, content
from transfer.test_attempt import transfers as transfers

from downloadd.download import Condition, ResumedBy, new_id
from downloadd.errors import StorageError
from downloadd.states import State
from downloadd.storage.names import parse_filename
from downloadd.transfer.attempt import FetchResult
from downloadd.transfer.known_content import resource_of_url
from downloadd.transfer.resume import RangeRequest


async def publish_known(transfers: Transfers, data: bytes) -> Path:
    """Publish a file of an earlier download of the URL, with the tag "v"; return its path."""
    part = await transfers.destination.open_part(
        directory="", filename=parse_filename("known"), download_id=new_id(1.0, 1), epoch=1, existing=None
    )
    await part.write([data], 0)
    assert await part.publish(parse_filename("known"), replace=False, last_modified=None)
    known = with_fields(
        sample_download(state=State.COMPLETED),
        directory="",
        filename="known",
        requested_name="known",
        url=transfers.row.request.url,
        validator='"v"',
        total=len(data),
        file_identity=part.file_identity,
        resource=resource_of_url(transfers.row.request.url),
    )
    transfers.known.rows.append(known)
    transfers.may_reuse = True
    transfers.row = transfers.row.with_request(requested_name=transfers.filename)
    return transfers.root / "known"


def unchanged(request: RangeRequest) -> Answer:
    return Answer(status=304, fields={"ETag": '"v"'})


async def test_a_copy_that_was_interrupted_continues_from_the_origin(
    transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ScriptedFile(content(1), ETag='"v"')
    await publish_known(transfers, file.content)

    def copy_some(source_fd: int, fd: int, size: int, start: int, end: int) -> int:
        if start:
            raise OSError(errno.EIO, "broken")
        return os.pwrite(fd, os.pread(source_fd, CUT, 0), 0)

    monkeypatch.setattr(os, "copy_file_range", copy_some)
    assert isinstance(await transfers.fetch(ScriptedSession(unchanged)), StorageError)
    assert transfers.row.progress.received == CUT
    # The row was recorded before the first byte, with all that continues it.
    assert transfers.saved[0].progress.validator == '"v"'
    assert transfers.saved[0].progress.resumed_by is ResumedBy.REUSE
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert asked(session) == [(CUT, '"v"')]
    assert transfers.part() == file.content
    # Its bytes are partly not from the origin still.
    assert transfers.row.progress.resumed_by is ResumedBy.REUSE


async def test_a_file_that_changes_while_it_is_copied_is_received(
    transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ScriptedFile(content(1), ETag='"v"')
    known = await publish_known(transfers, file.content)

    def change_and_copy(source_fd: int, fd: int, size: int, start: int, end: int) -> int:
        known.write_bytes(content(2))
        return os.pwrite(fd, os.pread(source_fd, size, start), start)

    monkeypatch.setattr(os, "copy_file_range", change_and_copy)
    session = ScriptedSession(lambda request: unchanged(request) if request.condition else file.answer(request))
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert [request.condition for request in session.requests] == [Condition(entity_tag='"v"'), None]
    assert transfers.part() == file.content
    assert transfers.row.progress.resumed_by is None
    assert transfers.part_count() == 1


async def test_a_file_that_is_removed_after_the_confirmation_is_received(transfers: Transfers) -> None:
    file = ScriptedFile(content(1), ETag='"v"')
    known = await publish_known(transfers, file.content)

    def answer(request: RangeRequest) -> Answer:
        if request.condition is None:
            return file.answer(request)
        known.unlink()
        return unchanged(request)

    assert await transfers.fetch(ScriptedSession(answer)) is FetchResult.COMPLETE
    assert transfers.part() == file.content


async def test_a_mismatched_download_is_never_a_copy(transfers: Transfers) -> None:
    file = ScriptedFile(content(1), ETag='"v"')
    await publish_known(transfers, file.content)
    transfers.row = transfers.row.with_progress(strict_resume=True)
    session = ScriptedSession(file.answer)
    assert await transfers.fetch(session) is FetchResult.COMPLETE
    assert [request.condition for request in session.requests] == [None]
    assert transfers.row.progress.resumed_by is None
