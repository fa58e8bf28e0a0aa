"""Contract of `ImportOperationRecords`."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from support.fake_imports import ANY_STATE, make_operation, make_run
from support.stores import OpenStore

from downloadd.import_operation import (
    FINISHED_STATES,
    PENDING_FILES,
    Channel,
    Driver,
    FileLink,
    ImportState,
    PendingRequest,
    Selection,
)
from downloadd.records.import_protocol import ImportFencedError, ImportRecords


class ImportOperationContract:
    """Promises of every implementation of `ImportOperationRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[ImportRecords]:
        """Return records without operations."""
        async with open_store() as opened:
            yield opened.imports

    async def test_a_new_operation_makes_the_users_earlier_ones_invalid(self, records: ImportRecords) -> None:
        first, second, other = (make_operation(id=id, user=user) for id, user in (("a", "u"), ("b", "u"), ("c", "v")))
        for operation in (first, other, second):
            await records.operations.create(operation)
        assert await records.operations.get("a") == replace(first, valid=False)
        assert await records.operations.get("c") == other
        assert await records.operations.current("u") == second
        assert await records.operations.current("nobody") is None

    async def test_an_invalid_operation_stays_invalid(self, records: ImportRecords) -> None:
        operation = make_operation(id="a")
        await records.operations.create(operation)
        await records.operations.create(make_operation(id="b"))
        changed = replace(operation, state=ImportState.DONE, not_before=7.5)
        await records.operations.save(changed)
        assert await records.operations.get("a") == replace(changed, valid=False)

    async def test_the_latest_operations_are_those_updated_last(self, records: ImportRecords) -> None:
        for number in range(5):
            await records.operations.create(make_operation(id=str(number), user=str(number), started_at=number))
        oldest = await records.operations.get("0")
        assert oldest is not None
        await records.operations.save(replace(oldest, updated_at=99))
        assert [one.id for one in await records.operations.latest(3)] == ["0", "4", "3"]

    async def test_operations_to_continue_are_valid_and_unfinished_or_download_files(
        self, records: ImportRecords
    ) -> None:
        for state in ImportState:
            await records.operations.create(make_operation(id=f"valid {state}", user=state, state=state))
            await records.operations.create(make_operation(id=f"invalid {state}", user=f"2 {state}", state=state))
            await records.operations.create(
                make_operation(id=f"newer {state}", user=f"2 {state}", state=ImportState.DONE)
            )
        expected = {f"valid {state}" for state in set(ImportState) - FINISHED_STATES}
        assert {one.id for one in await records.operations.unfinished()} == {
            *expected,
            f"invalid {ImportState.DOWNLOADING}",
        }

    async def test_the_sources_of_a_run_are_the_imports_of_its_files(self, records: ImportRecords) -> None:
        for id in ("a", "b"):
            await records.operations.create(make_operation(id=id))
            link = FileLink(file_id=id, url="http://h/", channel_id="c")
            await records.contents.add(Driver(id, 0), [Channel(channel_id="c", name="c"), link])
        await records.contents.select(Driver("b", 0), Selection(users=None, channels=None))
        await records.files.reserve(make_run("run"), PendingRequest(kind=PENDING_FILES))
        assert [one.id for one in await records.operations.sources("run")] == ["b"]
        run = await records.operations.get("run")
        assert run is not None
        await records.operations.save(replace(run, sources=("a",)))
        assert [one.id for one in await records.operations.sources("run")] == ["a", "b"]

    async def test_a_claim_raises_the_epoch_of_an_operation_in_one_of_the_states(self, records: ImportRecords) -> None:
        operation = make_operation(id="a", state=ImportState.READING)
        await records.operations.create(operation)
        assert await records.operations.claim("a", FINISHED_STATES) is None
        assert await records.operations.claim("unknown", ANY_STATE) is None
        assert await records.operations.get("a") == operation
        claimed = await records.operations.claim("a", {ImportState.READING, ImportState.READY})
        assert claimed == replace(operation, epoch=1)
        assert await records.operations.get("a") == claimed

    async def test_each_claim_has_an_epoch_of_its_own(self, records: ImportRecords) -> None:
        await records.operations.create(make_operation(id="a"))
        claims = await asyncio.gather(*(records.operations.claim("a", ANY_STATE) for _ in range(5)))
        assert sorted(one.epoch for one in claims if one is not None) == [1, 2, 3, 4, 5]

    async def test_a_claim_of_an_abandoned_operation_leaves_one_that_was_taken_over(
        self, records: ImportRecords
    ) -> None:
        await records.operations.create(make_operation(id="a"))
        claims = await asyncio.gather(*(records.operations.claim("a", ANY_STATE, epoch=0) for _ in range(5)))
        assert [one.epoch for one in claims if one is not None] == [1]

    async def test_what_an_earlier_process_left_is_abandoned(self, records: ImportRecords) -> None:
        for id, state in (("a", ImportState.READING), ("b", ImportState.DONE)):
            await records.operations.create(make_operation(id=id, user=id, state=state))
        assert [one.id for one in await records.operations.abandoned()] == ["a"]

    async def test_only_the_last_driver_saves(self, records: ImportRecords) -> None:
        operation = make_operation(id="a", state=ImportState.READING)
        await records.operations.create(operation)
        claimed = await records.operations.claim("a", ANY_STATE)
        assert claimed is not None
        for driver in (operation.driver, Driver("a", 2), Driver("unknown", 0)):
            with pytest.raises(ImportFencedError):
                await records.operations.save(replace(operation, state=ImportState.DONE), driver=driver)
            with pytest.raises(ImportFencedError):
                await records.operations.require(driver)
        with pytest.raises(ImportFencedError):
            await records.operations.save(replace(operation, state=ImportState.DONE))
        assert await records.operations.get("a") == claimed
        await records.operations.require(claimed.driver)
        await records.operations.save(replace(claimed, state=ImportState.READY))
        assert await records.operations.get("a") == replace(claimed, state=ImportState.READY)

    async def test_a_driver_saves_another_operation(self, records: ImportRecords) -> None:
        source, run = make_operation(id="a"), make_operation(id="run")
        for operation in (source, run):
            await records.operations.create(operation)
        assert await records.operations.claim("a", ANY_STATE) is not None
        await records.operations.save(replace(source, skipped=3, valid=False), driver=run.driver)
        # The epoch is not written.
        assert await records.operations.get("a") == replace(source, skipped=3, valid=False, epoch=1)
