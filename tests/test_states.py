import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.states import (
    ACTIVE,
    FINISHED,
    RUNNING,
    TRANSITIONS,
    WAITING,
    IllegalTransitionError,
    State,
    Trigger,
    advance,
    allows,
)

ANY_STATE = st.sampled_from(State)
ANY_EVENT = st.sampled_from(Trigger)


@given(ANY_STATE, ANY_EVENT)
def test_an_event_leads_where_the_table_says_or_is_refused(state: State, trigger: Trigger) -> None:
    if allows(state, trigger):
        assert advance(state, trigger) is TRANSITIONS[state, trigger]
    else:
        with pytest.raises(IllegalTransitionError, match=f"is {state} cannot {trigger}"):
            advance(state, trigger)


@given(st.lists(ANY_EVENT, max_size=40))
def test_random_events_never_leave_the_table(triggers: list[Trigger]) -> None:
    state = State.QUEUED
    for trigger in triggers:
        if allows(state, trigger):
            state = advance(state, trigger)
    assert state in State


def test_every_state_is_either_active_or_ended() -> None:
    assert not ACTIVE & FINISHED
    assert set(State) == ACTIVE | FINISHED
    assert WAITING | RUNNING | {State.PAUSED} == ACTIVE


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_an_ended_download_only_comes_back_by_a_retry(state: State) -> None:
    assert {trigger for trigger in Trigger if allows(state, trigger)} <= {Trigger.RETRY}


def test_what_is_complete_stays_complete() -> None:
    assert not any(allows(State.COMPLETED, trigger) for trigger in Trigger)


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_every_active_download_can_be_cancelled_and_paused(state: State) -> None:
    assert advance(state, Trigger.CANCEL) is State.CANCELLED
    if state is not State.PAUSED:
        assert advance(state, Trigger.PAUSE) is State.PAUSED


@pytest.mark.parametrize("state", sorted(RUNNING))
def test_every_running_download_can_be_handed_back(state: State) -> None:
    assert advance(state, Trigger.INTERRUPT) is State.QUEUED


def test_only_verified_bytes_are_committed() -> None:
    assert [state for state, trigger in TRANSITIONS if trigger is Trigger.COMMIT] == [State.VERIFYING]


def test_every_state_is_reached_from_the_first() -> None:
    reached = {State.QUEUED}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)
