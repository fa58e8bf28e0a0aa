"""Contract of `UserFiles`."""

from msgspec.structs import replace
from support.downloads import with_fields
from support.stored_downloads import added, sample_download
from support.stores import OpenStore

from downloadd.records.protocol import HistoryFilter
from downloadd.records.user_files import UserFile
from downloadd.states import State

A, B = (UserFile(directory="ä", filename=name, size=size) for name, size in (("a", 5), ("b", 7)))


class UserFileContract:
    """Promises of every implementation of `UserFiles`."""

    async def test_files_are_known_after_their_downloads_were_removed_from_the_history(
        self, open_store: OpenStore
    ) -> None:
        async with open_store() as records:
            records.user_files.owners = {"ann"}
            rows = [
                with_fields(
                    sample_download(state=State.COMPLETED, directory=one.directory, filename=one.filename),
                    total=one.size,
                )
                for one in (A, B)
            ]
            await added(records, *rows, with_fields(sample_download(state=State.COMPLETED, user="bob"), total=9))
            assert list(await records.user_files.files("ann")) == [A, B]
            ended = await records.ended_rows(HistoryFilter())
            await records.remove_ended([row for row in ended if row.id != rows[1].id])
            found = {one.filename: one for one in await records.user_files.files("ann")}
            assert found == {"a": replace(A, is_removed=True), "b": B}
            # Files of users without a quota are not remembered.
            assert list(await records.user_files.files("bob")) == []
        async with open_store() as records:
            await records.user_files.forget("ann", [A, B])
            # That of the history stays known.
            assert list(await records.user_files.files("ann")) == [B]

    async def test_part_files_count_but_those_of_some_downloads(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            rows = [
                with_fields(sample_download(state=state, part_name=part), received=received)
                for state, part, received in (
                    (State.FAILED, ".p", 3),
                    (State.QUEUED, ".q", 4),
                    (State.DOWNLOADING, ".r", 5),
                    (State.QUEUED, None, 6),
                )
            ]
            await added(records, *rows)
            assert await records.user_files.part_bytes("ann", without=()) == 12
            assert await records.user_files.part_bytes("ann", without=[rows[2].id]) == 7
            assert await records.user_files.part_bytes("bob", without=()) == 0
