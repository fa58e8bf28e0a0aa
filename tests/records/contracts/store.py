"""Contract of `Store`: what several of its records promise together."""

from records.contracts.deliveries import make_deliveries
from records.contracts.import_files import add_pending_files, finish, start
from support.fake_imports import ANY_STATE, make_operation
from support.stores import OpenStore

from downloadd.import_operation import FileCounts, ImportState
from downloadd.import_part import part_id_of
from downloadd.records.protocol import HistoryFilter
from downloadd.states import RUNNING, State


class StoreContract:
    """Promises of every implementation of `Store`."""

    async def test_an_end_its_deliveries_and_the_outcome_of_its_file_are_durable_together(
        self, open_store: OpenStore
    ) -> None:
        async with open_store(make_deliveries) as store:
            await add_pending_files(store)
            first, second, *_ = await start(store, 2)
            await finish(store, first, State.COMPLETED)
            await finish(store, second, State.FAILED)
        async with open_store(make_deliveries) as store:
            assert [row.state for row in await store.history(HistoryFilter())] == [State.FAILED, State.COMPLETED]
            assert await store.deliveries.waiting() == {"one": 2, "two": 2}
            assert await store.imports.files.count("run") == FileCounts(total=4, completed=1, failed=1)

    async def test_an_unfinished_operation_may_own_the_part_of_a_manifest(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            operations = store.imports.operations
            known, finished, unknown = ("A" * 17, "B" * 17, "C" * 17)
            await operations.create(make_operation(id=known, state=ImportState.DOWNLOADING))
            await operations.create(make_operation(id=finished, state=ImportState.DONE))
            claimed = await operations.claim(known, ANY_STATE)
            assert claimed is not None
            owners = await store.part_owners([part_id_of(one) for one in (known, finished, unknown)])
            assert list(owners) == [part_id_of(known)]
            owner = owners[part_id_of(known)]
            assert (owner.epoch, owner.state in RUNNING, owner.part_name) == (claimed.epoch, True, None)
