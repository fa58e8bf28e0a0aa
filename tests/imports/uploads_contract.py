"""Contract of `Uploads`, as tests.

An implementation is tested by a subclass, named `Test…`, where the fixture `uploads` is that of the implementation:
open, empty, for files of at most 10 bytes.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.import_stack import content

from downloadd.errors import StorageError
from downloadd.import_operation import ImportErrorCode
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.uploads import Uploads

ID = "a" * 17
OTHER_ID = "b" * 17


class UploadsContract:
    """Promises of every implementation of `Uploads`."""

    async def test_a_file_is_stored_in_place_of_an_earlier_one(self, uploads: Uploads) -> None:
        await uploads.save(ID, content(b"earlier"))
        assert await uploads.save(ID, content(b"ab", b"", b"c")) == 3
        assert uploads.path(ID).read_bytes() == b"abc"

    async def test_a_file_that_cannot_be_stored_leaves_the_earlier_one(self, uploads: Uploads) -> None:
        await uploads.save(ID, content(b"earlier"))
        with pytest.raises(ImportRefusedError):
            await uploads.save(ID, content(b"x" * 11))
        assert uploads.path(ID).read_bytes() == b"earlier"

    async def test_files_of_other_operations_stay(self, uploads: Uploads) -> None:
        for id in (ID, OTHER_ID):
            await uploads.save(id, content(id[:1].encode()))

        async def is_referenced(operation: str) -> bool:
            return operation == OTHER_ID

        await uploads.remove_orphans(is_referenced)
        assert [uploads.path(id).exists() for id in (ID, OTHER_ID)] == [False, True]

    async def test_an_upload_that_is_too_long_is_refused_and_deleted(self, uploads: Uploads) -> None:
        with pytest.raises(ImportRefusedError) as refused:
            await uploads.save(ID, content(b"x" * 6, b"x" * 5))
        assert refused.value.code is ImportErrorCode.FILE_TOO_LARGE
        assert not uploads.path(ID).exists()

    async def test_an_interrupted_upload_is_deleted(self, uploads: Uploads) -> None:
        async def interrupted() -> AsyncIterator[bytes]:
            yield b"x"
            raise ConnectionResetError

        with pytest.raises(StorageError):
            await uploads.save(ID, interrupted())
        assert not uploads.path(ID).exists()

    async def test_a_file_is_whole_whoever_else_stores_it(self, uploads: Uploads) -> None:
        """A driver that lost its operation may store the same file."""
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"ab"
            await go_on.wait()
            yield b"cd"

        late = asyncio.create_task(uploads.save(ID, slow()))
        await asyncio.sleep(0)
        await uploads.save(ID, content(b"abcd"))
        assert uploads.path(ID).read_bytes() == b"abcd"
        go_on.set()
        await late
        assert uploads.path(ID).read_bytes() == b"abcd"

    async def test_deleting_twice_is_allowed(self, uploads: Uploads) -> None:
        await uploads.save(ID, content(b"x"))
        await uploads.remove(ID)
        await uploads.remove(ID)
        assert not uploads.path(ID).exists()
