import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.states import (
    ACTIVE,
    FINISHED,
    RUNNING,
    STATES,
    TRANSITIONS,
    UNSUCCESSFUL,
    WAITING,
    IllegalTransitionError,
    State,
    StateGroup,
    Trigger,
    advance,
    allowing,
    allows,
)

ANY_STATE = st.sampled_from(State)
ANY_TRIGGER = st.sampled_from(Trigger)


@given(ANY_STATE, ANY_TRIGGER)
def test_a_trigger_leads_to_the_state_of_the_table_or_is_refused(state: State, trigger: Trigger) -> None:
    if allows(state, trigger):
        assert advance(state, trigger) is TRANSITIONS[state, trigger]
    else:
        with pytest.raises(IllegalTransitionError, match=f"is {state} cannot {trigger}"):
            advance(state, trigger)


@given(st.lists(ANY_TRIGGER, max_size=40))
def test_random_triggers_never_leave_the_table(triggers: list[Trigger]) -> None:
    state = State.QUEUED
    for trigger in triggers:
        if allows(state, trigger):
            state = advance(state, trigger)
    assert state in State


def test_every_state_is_either_active_or_finished() -> None:
    assert not ACTIVE & FINISHED
    assert set(State) == ACTIVE | FINISHED
    assert WAITING | RUNNING | {State.PAUSED} == ACTIVE


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_a_finished_download_becomes_active_only_by_a_retry(state: State) -> None:
    assert {trigger for trigger in Trigger if allows(state, trigger)} <= {Trigger.RETRY}


def test_a_completed_download_stays_completed() -> None:
    assert not any(allows(State.COMPLETED, trigger) for trigger in Trigger)


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_every_active_download_can_be_cancelled_and_paused(state: State) -> None:
    assert advance(state, Trigger.CANCEL) is State.CANCELLED
    if state is not State.PAUSED:
        assert advance(state, Trigger.PAUSE) is State.PAUSED


@pytest.mark.parametrize("state", sorted(RUNNING))
def test_every_running_download_can_be_interrupted(state: State) -> None:
    assert advance(state, Trigger.INTERRUPT) is State.QUEUED


def test_only_verified_bytes_are_committed() -> None:
    assert [state for state, trigger in TRANSITIONS if trigger is Trigger.COMMIT] == [State.VERIFYING]


def test_every_state_can_be_reached_from_queued() -> None:
    reached = {State.QUEUED}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)


def test_the_table_has_a_row_for_each_state_with_a_label_of_its_own() -> None:
    assert set(STATES) == set(State)
    assert len({row.label for row in STATES.values()}) == len(State)


def test_states_in_which_nothing_is_done_report_another_message_than_a_start() -> None:
    others = {state for state, row in STATES.items() if row.message != "Download started"}
    assert others == {*FINISHED, State.PAUSED}
    assert {State.FAILED, State.CANCELLED} == UNSUCCESSFUL


def test_paused_is_the_only_state_of_its_group() -> None:
    assert [state for state, row in STATES.items() if row.group is StateGroup.PAUSED] == [State.PAUSED]


def test_the_states_that_allow_a_trigger_are_those_with_a_transition() -> None:
    assert allowing(Trigger.RESUME) == {State.PAUSED}
    assert allowing(Trigger.CANCEL) == ACTIVE
    assert allowing(Trigger.PAUSE) == ACTIVE - {State.PAUSED}
