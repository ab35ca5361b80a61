"""The table of transitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.jobs.lifecycle import (
    TRANSITIONS,
    Event,
    IllegalTransitionError,
    State,
    apply,
)

FINAL = {State.SAVED, State.FAILED, State.AMBIGUOUS}
BY_CONSENT = {Event.RETRY, Event.RESUBMIT}


def test_the_straight_way() -> None:
    state = State.PLANNED
    for event in (Event.SUBMIT, Event.ACCEPT, Event.FINISH, Event.SAVE):
        state = apply(state, event)
    assert state is State.SAVED


@given(st.lists(st.sampled_from(Event)))
def test_a_final_state_is_left_and_anything_accepted_twice_only_by_consent(
    events: list[Event],
) -> None:
    state, accepted, consents = State.PLANNED, 0, 0
    for event in events:
        if (state, event) not in TRANSITIONS:
            with pytest.raises(IllegalTransitionError, match=event.value):
                apply(state, event)
            continue
        assert state not in FINAL or event in BY_CONSENT
        state = apply(state, event)
        accepted += event is Event.ACCEPT
        consents += event in BY_CONSENT
    assert accepted <= 1 + consents


def test_what_is_saved_stays_saved() -> None:
    assert not [event for state, event in TRANSITIONS if state is State.SAVED]
