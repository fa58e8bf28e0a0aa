"""Results of polls that equal polls share."""

import asyncio
from typing import Any

import pytest
from support.waiting import wait_until

from downloadd.fronts.aria2.calls import EncodedList
from downloadd.fronts.aria2.methods import list_answers
from downloadd.fronts.aria2.methods.list_answers import ListAnswers, Listing


class Polled:
    """A list with a revision, which counts how often it is read."""

    def __init__(self) -> None:
        self.answers = ListAnswers()
        self.revision = 0
        self.reads = 0
        self.is_live = False
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def poll(self, key: str = "a") -> list[dict[str, Any]]:
        return (await self.answers.get(key, self._read_revision, self._make)).decode()

    async def _read_revision(self) -> int:
        return self.revision

    async def _make(self) -> Listing:
        self.reads += 1
        rows = EncodedList([{"read": self.reads}])
        await self.may_read.wait()
        return Listing(rows=rows, is_live=self.is_live)


@pytest.fixture
def polled() -> Polled:
    return Polled()


async def test_equal_polls_share_a_result_until_the_list_changes(polled: Polled) -> None:
    assert [await polled.poll(key) for key in ("a", "a", "b", "a")] == [[{"read": read}] for read in (1, 1, 2, 1)]
    polled.revision += 1
    assert [await polled.poll() for _ in range(2)] == [[{"read": 3}], [{"read": 3}]]


async def test_polls_at_the_same_time_read_once(polled: Polled) -> None:
    assert await asyncio.gather(*(polled.poll() for _ in range(20))) == [[{"read": 1}]] * 20


async def test_a_list_that_changes_while_it_is_read_is_read_again(polled: Polled) -> None:
    polled.may_read.clear()
    first = asyncio.create_task(polled.poll())
    await wait_until(lambda: polled.reads == 1)
    polled.revision += 1
    second = asyncio.create_task(polled.poll())
    await asyncio.sleep(0)
    polled.may_read.set()
    assert (await first, await second) == ([{"read": 1}], [{"read": 2}])


async def test_live_rows_are_read_each_time(polled: Polled) -> None:
    polled.is_live = True
    assert [await polled.poll() for _ in range(2)] == [[{"read": 1}], [{"read": 2}]]


async def test_a_poll_that_is_cancelled_leaves_the_list_to_the_others(polled: Polled) -> None:
    polled.may_read.clear()
    first, second = (asyncio.create_task(polled.poll()) for _ in range(2))
    await wait_until(lambda: polled.reads == 1)
    first.cancel()
    polled.may_read.set()
    assert await second == [{"read": 2}]


@pytest.mark.parametrize(("limit", "value"), [("MAX_ANSWERS", 2), ("MAX_ANSWER_BYTES", 2 * len('[{"read":1}]'))])
async def test_the_first_result_leaves_when_there_are_too_many(
    polled: Polled, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(list_answers, limit, value)
    for key in ("a", "b", "c", "c", "b", "a"):
        await polled.poll(key)
    assert polled.reads == 4
