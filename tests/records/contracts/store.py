"""Contract of `Store`: what several of its records promise together."""

from records.contracts.deliveries import make_deliveries
from records.contracts.import_files import add_pending_files, finish, start
from support.stores import OpenStore

from downloadd.import_operation import FileCounts
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State


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
