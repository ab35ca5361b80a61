"""The table of transitions."""

from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.jobs.lifecycle import TRANSITIONS, Event, State

FINAL = {State.SAVED, State.FAILED, State.AMBIGUOUS}
BY_CONSENT = {Event.RETRY, Event.RESUBMIT}


def test_a_job_without_faults() -> None:
    state = State.PLANNED
    for event in (Event.SUBMIT, Event.ACCEPT, Event.FINISH, Event.SAVE):
        state = TRANSITIONS[state, event]
    assert state is State.SAVED


@given(st.lists(st.sampled_from(Event)))
def test_only_retry_and_resubmit_leave_a_final_state_or_accept_twice(
    events: list[Event],
) -> None:
    state, accepted, consents = State.PLANNED, 0, 0
    for event in events:
        if (state, event) not in TRANSITIONS:
            continue
        assert state not in FINAL or event in BY_CONSENT
        state = TRANSITIONS[state, event]
        accepted += event is Event.ACCEPT
        consents += event in BY_CONSENT
    assert accepted <= 1 + consents


def test_saved_is_final() -> None:
    assert not [event for state, event in TRANSITIONS if state is State.SAVED]
