"""The table of transitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.core.lifecycle import (
    TRANSITIONS,
    Event,
    IllegalTransitionError,
    State,
    apply,
)

FINAL = {State.SAVED, State.FAILED, State.AMBIGUOUS}


def test_the_straight_way() -> None:
    state = State.PLANNED
    for event in (Event.SUBMIT, Event.ACCEPT, Event.FINISH, Event.SAVE):
        state = apply(state, event)
    assert state is State.SAVED


@given(st.lists(st.sampled_from(Event)))
def test_a_final_state_is_never_left_and_nothing_is_accepted_twice(events: list[Event]) -> None:
    state, accepted = State.PLANNED, 0
    for event in events:
        if (state, event) not in TRANSITIONS:
            with pytest.raises(IllegalTransitionError, match=event.value):
                apply(state, event)
            continue
        assert state not in FINAL
        state = apply(state, event)
        accepted += event is Event.ACCEPT
    assert accepted <= 1
