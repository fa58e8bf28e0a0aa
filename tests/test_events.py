"""The event bus: no event is lost across a reconnection, and no subscriber delays another one."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sample_downloads import sample_change, sample_download

from downloadd.events import (
    DownloadEnded,
    Event,
    EventBus,
    EventId,
    format_event_id,
    parse_event_id,
)


def ended(ended_seq: int | None) -> DownloadEnded:
    return DownloadEnded(download=sample_download(ended_seq=ended_seq), before=None)


async def test_a_subscriber_receives_events_in_order() -> None:
    bus = EventBus()
    events: list[Event] = [sample_change(1), sample_change(2), ended(1)]
    with bus.subscribe() as subscription:
        for event in events:
            bus.publish(event)
        assert [one.event for one in await subscription.receive()] == events


async def test_a_subscriber_waits_for_an_event() -> None:
    bus = EventBus()
    with bus.subscribe() as subscription:
        waiting = asyncio.create_task(subscription.receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        bus.publish(sample_change())
        assert len(await waiting) == 1


async def test_a_bus_is_watched_while_it_has_a_subscriber() -> None:
    bus = EventBus(replay_limit=1)
    states = [bus.is_watched]
    with bus.subscribe():
        states.append(bus.is_watched)
    bus.publish(sample_change())
    assert [*states, bus.is_watched] == [False, True, False]


async def test_a_slow_subscriber_is_disconnected_and_the_others_are_not() -> None:
    lost: list[int] = []
    bus = EventBus(backlog=2, on_reader_lost=lost.append)
    with bus.subscribe() as slow, bus.subscribe() as quick:
        assert bus.reader_count == 2
        for _ in range(5):
            bus.publish(sample_change())
            await quick.receive()
        assert slow.is_closed
        assert lost == [3]
        assert await slow.receive() == []
        assert not quick.is_closed


async def test_a_subscriber_that_reconnects_receives_exactly_what_it_missed() -> None:
    bus = EventBus()
    with bus.subscribe() as first:
        bus.publish(sample_change(1))
        (seen,) = await first.receive()
    bus.publish(sample_change(2))
    bus.publish(ended(7))
    with bus.subscribe(seen.id) as second:
        assert second.missed is not None
        assert [one.event for one in second.missed] == [sample_change(2), ended(7)]
        assert second.start == bus.position


async def test_a_subscriber_that_missed_nothing_receives_nothing() -> None:
    bus = EventBus()
    with bus.subscribe() as first:
        place = first.start
    with bus.subscribe(place) as second:
        assert second.missed == ()


async def test_events_evicted_from_the_replay_buffer_are_not_replayed() -> None:
    bus = EventBus(replay_limit=2)
    with bus.subscribe() as first, bus.subscribe():
        start = first.start
        for _ in range(3):
            bus.publish(sample_change())
        with bus.subscribe(start) as again:
            assert again.missed is None
        with bus.subscribe(EventId(generation=start.generation, number=start.number + 1, ended_seq=0)) as again:
            assert again.missed is not None
            assert len(again.missed) == 2


async def test_a_time_without_subscribers_leaves_a_gap() -> None:
    bus = EventBus(replay_limit=1)
    with bus.subscribe() as first:
        place = first.start
    bus.publish(sample_change())
    # Publishers may omit events now, so an earlier position cannot be continued.
    assert not bus.is_watched
    with bus.subscribe(place) as second:
        assert second.missed is None
        position_after_gap = second.start
        with bus.subscribe(position_after_gap) as third:
            assert third.missed == ()


async def test_subscribers_that_read_all_again_cannot_continue() -> None:
    bus = EventBus()
    with bus.subscribe() as subscription:
        before = bus.position
        bus.request_reread()
        assert subscription.is_closed
        assert await subscription.receive() == []
    with bus.subscribe(before) as again:
        assert again.missed is None
        after = bus.position
    with bus.subscribe(after) as again:
        assert again.missed == ()


async def test_ids_of_another_run_cannot_be_continued() -> None:
    before, after = EventBus(), EventBus()
    with before.subscribe() as first, after.subscribe(), after.subscribe(first.start) as second:
        assert second.missed is None


async def test_an_id_of_the_future_cannot_be_continued() -> None:
    bus = EventBus()
    with bus.subscribe() as first:
        future = EventId(generation=first.start.generation, number=999, ended_seq=0)
        with bus.subscribe(future) as second:
            assert second.missed is None


async def test_ids_have_the_newest_end() -> None:
    bus = EventBus()
    bus.record_ended_seq(5)
    with bus.subscribe() as subscription:
        bus.publish(sample_change())
        bus.publish(ended(9))
        bus.publish(ended(8))
        bus.publish(ended(None))
        assert [one.id.ended_seq for one in await subscription.receive()] == [5, 9, 9, 9]


async def test_an_event_is_encoded_once() -> None:
    bus = EventBus()
    calls: list[EventId] = []

    def encode(id: EventId, event: object) -> bytes:
        calls.append(id)
        return b"x"

    with bus.subscribe() as one, bus.subscribe() as other:
        bus.publish(sample_change())
        for subscription in (one, other):
            assert [event.frame(encode) for event in await subscription.receive()] == [b"x"]
    assert len(calls) == 1


async def test_closing_ends_all_present_and_future_subscriptions() -> None:
    bus = EventBus()
    with bus.subscribe() as subscription:
        bus.close()
        assert await subscription.receive() == []
        assert subscription.is_closed
    with bus.subscribe() as late:
        assert late.is_closed


@given(st.from_regex(r"[0-9a-f]{1,16}", fullmatch=True), st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1))
def test_an_id_survives_its_text_form(generation: str, number: int, ended_seq: int) -> None:
    id = EventId(generation=generation, number=number, ended_seq=ended_seq)
    assert parse_event_id(format_event_id(id)) == id


@pytest.mark.parametrize("text", ["", "-", "a-1", "a-1-", "a-1-x", "a-1-2-3", "a-1-²", "a--1-2", f"a-1-{'9' * 19}"])
def test_an_invalid_id_is_none(text: str) -> None:
    assert parse_event_id(text) is None


@given(st.text())
def test_any_text_can_be_parsed_as_an_id(text: str) -> None:
    parse_event_id(text)
