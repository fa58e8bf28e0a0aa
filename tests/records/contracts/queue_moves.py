"""Contract of the moves of `QueueRecords`, and of the positions of `Records.accept`."""

import random
from collections.abc import AsyncIterator, Mapping

import pytest
from support.stored_downloads import ids, sample_download
from support.stores import OpenStore

from downloadd.download import Desired, Download
from downloadd.queue_move import DOWN, TO_BOTTOM, TO_TOP, UP, QueueMove, QueueOrigin
from downloadd.records.protocol import NO_POSITIONS
from downloadd.records.queue_moves import MovedDownload
from downloadd.records.store import Store
from downloadd.states import State

ALL = 1_000


class WaitingList:
    """The waiting list of a store, whose downloads are named by their `seq`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: dict[int, str] = {}

    async def add(self, *downloads: Download, at: Mapping[int, int] = NO_POSITIONS) -> list[int]:
        """Accept downloads, some of them at positions; return their `seq`."""
        seqs = (await self._store.accept(downloads, positions=at)).seqs
        self._ids |= dict(zip(seqs, ids(downloads), strict=True))
        return list(seqs)

    async def move(self, seq: int, move: QueueMove) -> MovedDownload:
        """Move a download, which then stands at the index that is returned."""
        moved = await self._store.queue.move(self._ids[seq], move, lambda row: None)
        assert moved is not None
        assert moved.after == await self._store.get(self._ids[seq])
        assert ids(await self._store.queue.page(moved.index, 1)) == [self._ids[seq]]
        return moved

    async def order(self) -> list[int]:
        """Return the list, which is the same from both ends."""
        order = [row.seq for row in await self._store.queue.page(0, ALL)]
        assert order == [row.seq for row in await self._store.queue.page(-1, ALL)][::-1]
        return order


class QueueMoveContract:
    """Promises of every implementation of `QueueRecords.move`."""

    @pytest.fixture
    async def waiting(self, open_store: OpenStore) -> AsyncIterator[WaitingList]:
        """Return an empty waiting list."""
        async with open_store() as opened:
            yield WaitingList(opened)

    @pytest.mark.parametrize(
        ("seq", "move", "index", "order"),
        [
            (3, TO_TOP, 0, [3, 1, 2, 4, 5]),
            (3, UP, 1, [1, 3, 2, 4, 5]),
            (3, DOWN, 3, [1, 2, 4, 3, 5]),
            (3, TO_BOTTOM, 4, [1, 2, 4, 5, 3]),
            (1, UP, 0, [1, 2, 3, 4, 5]),
            (5, DOWN, 4, [1, 2, 3, 4, 5]),
            (2, QueueMove(offset=3), 3, [1, 3, 4, 2, 5]),
            (2, QueueMove(offset=99), 4, [1, 3, 4, 5, 2]),
            (2, QueueMove(offset=-1), 0, [2, 1, 3, 4, 5]),
            (2, QueueMove(offset=2, origin=QueueOrigin.CURRENT), 3, [1, 3, 4, 2, 5]),
            (4, QueueMove(offset=-2, origin=QueueOrigin.CURRENT), 1, [1, 4, 2, 3, 5]),
            (4, QueueMove(offset=-99, origin=QueueOrigin.CURRENT), 0, [4, 1, 2, 3, 5]),
            (4, QueueMove(offset=99, origin=QueueOrigin.CURRENT), 4, [1, 2, 3, 5, 4]),
            (4, QueueMove(offset=-1, origin=QueueOrigin.END), 3, [1, 2, 3, 4, 5]),
            (1, QueueMove(offset=-1, origin=QueueOrigin.END), 3, [2, 3, 4, 1, 5]),
            (1, QueueMove(offset=7, origin=QueueOrigin.END), 4, [2, 3, 4, 5, 1]),
            (5, QueueMove(offset=-99, origin=QueueOrigin.END), 0, [5, 1, 2, 3, 4]),
        ],
    )
    async def test_a_download_stands_at_the_index_that_a_move_states(
        self, waiting: WaitingList, seq: int, move: QueueMove, index: int, order: list[int]
    ) -> None:
        await waiting.add(*(sample_download() for _ in range(5)))
        moved = await waiting.move(seq, move)
        assert moved.index == index
        assert await waiting.order() == order
        assert [one.seq for one in moved.changed] == ([] if order == [1, 2, 3, 4, 5] else [seq])

    async def test_the_waiting_list_has_queued_and_paused_downloads_and_those_that_are_being_paused(
        self, waiting: WaitingList
    ) -> None:
        seqs = await waiting.add(
            sample_download(state=State.PAUSED, desired=Desired.PAUSE),
            sample_download(state=State.DOWNLOADING),
            sample_download(state=State.DOWNLOADING, desired=Desired.PAUSE),
            sample_download(state=State.RETRYING),
            sample_download(priority=1),
            sample_download(state=State.FAILED, desired=Desired.PAUSE),
        )
        assert await waiting.order() == [seqs[4], seqs[0], seqs[2]]

    async def test_the_new_neighbours_give_their_priority(self, waiting: WaitingList) -> None:
        await waiting.add(*(sample_download(priority=priority) for priority in (9, 5, 0)))
        assert (await waiting.move(3, TO_TOP)).after.control.priority == 9
        assert (await waiting.move(3, DOWN)).after.control.priority == 9
        assert (await waiting.move(1, TO_BOTTOM)).after.control.priority == 5
        assert await waiting.order() == [3, 2, 1]

    async def test_a_download_is_inserted_at_a_position(self, waiting: WaitingList) -> None:
        await waiting.add(*(sample_download() for _ in range(3)))
        await waiting.add(*(sample_download() for _ in range(4)), at={0: 0, 1: 0, 3: 9_999})
        assert await waiting.order() == [5, 4, 1, 2, 3, 6, 7]

    async def test_many_moves_between_the_same_two_space_their_neighbours_again(self, waiting: WaitingList) -> None:
        await waiting.add(*(sample_download() for _ in range(300)))
        spaced = 0
        order = await waiting.order()
        for number in range(200):
            moved = await waiting.move(order[-1], QueueMove(offset=1))
            spaced += len(moved.changed) > 1
            order.insert(1, order.pop())
            assert number % 10 or await waiting.order() == order
        assert 0 < spaced < 20
        assert await waiting.add(sample_download()) == [301]
        assert await waiting.order() == [*order, 301]

    async def test_random_moves_and_positions_give_the_order_of_a_list(self, waiting: WaitingList) -> None:
        chance = random.Random(16)
        model: list[int] = []
        for _ in range(200):
            if not model or chance.random() < 0.2:
                position = chance.randint(0, len(model))
                model.insert(position, *await waiting.add(sample_download(), at={0: position}))
                continue
            seq, offset = chance.choice(model), chance.randint(-3, 3)
            origin = chance.choice(list(QueueOrigin))
            base = {QueueOrigin.START: 0, QueueOrigin.CURRENT: model.index(seq), QueueOrigin.END: len(model) - 1}[
                origin
            ]
            model.remove(seq)
            model.insert(min(max(0, base + offset), len(model)), seq)
            await waiting.move(seq, QueueMove(offset=offset, origin=origin))
            assert await waiting.order() == model
