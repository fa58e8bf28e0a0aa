import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.states import (
    ACTIVE,
    ENDED,
    RUNNING,
    TRANSITIONS,
    WAITING,
    Event,
    IllegalTransitionError,
    State,
    advance,
    allows,
)

ANY_STATE = st.sampled_from(State)
ANY_EVENT = st.sampled_from(Event)


@given(ANY_STATE, ANY_EVENT)
def test_an_event_leads_where_the_table_says_or_is_refused(state: State, event: Event) -> None:
    if allows(state, event):
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"is {state} cannot {event}"):
            advance(state, event)


@given(st.lists(ANY_EVENT, max_size=40))
def test_random_events_never_leave_the_table(events: list[Event]) -> None:
    state = State.QUEUED
    for event in events:
        if allows(state, event):
            state = advance(state, event)
    assert state in State


def test_every_state_is_either_active_or_ended() -> None:
    assert not ACTIVE & ENDED
    assert set(State) == ACTIVE | ENDED
    assert WAITING | RUNNING | {State.PAUSED} == ACTIVE


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_ended_download_only_comes_back_by_a_retry(state: State) -> None:
    assert {event for event in Event if allows(state, event)} <= {Event.RETRY}


def test_what_is_complete_stays_complete() -> None:
    assert not any(allows(State.COMPLETED, event) for event in Event)


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_every_active_download_can_be_cancelled_and_paused(state: State) -> None:
    assert advance(state, Event.CANCEL) is State.CANCELLED
    if state is not State.PAUSED:
        assert advance(state, Event.PAUSE) is State.PAUSED


@pytest.mark.parametrize("state", sorted(RUNNING))
def test_every_running_download_can_be_handed_back(state: State) -> None:
    assert advance(state, Event.INTERRUPT) is State.QUEUED


def test_only_verified_bytes_are_committed() -> None:
    assert [state for state, event in TRANSITIONS if event is Event.COMMIT] == [State.VERIFYING]


def test_every_state_is_reached_from_the_first() -> None:
    reached = {State.QUEUED}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)
