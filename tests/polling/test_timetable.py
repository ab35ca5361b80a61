"""Which task is polled when, with a clock that is a number."""

import math
from random import Random
from typing import ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from photoanimer_async.polling import timetable as timetable_module
from photoanimer_async.polling.adaptive import AdaptivePolling
from photoanimer_async.polling.notified import NotifiedPolling
from photoanimer_async.polling.policies import FixedInterval, PollPolicy
from photoanimer_async.polling.timetable import Timetable


def timetable(policy: PollPolicy | None = None) -> Timetable:
    return Timetable(policy or FixedInterval(10.0), Random(1), patience=1.0)


def add(
    table: Timetable, key: str, since: float, kind: str, now: float, *, at_once: bool = False
) -> float:
    table.submitted(key, since, kind)
    if at_once:
        table.notified(key)
    return table.add(key, now)


def ready_at(table: Timetable, now: float) -> list[str]:
    """All tasks to poll by now."""
    return list(iter(lambda: table.pop_ready(now), None))


def test_a_processing_task_is_polled_again_until_it_ends() -> None:
    table = timetable()
    add(table, "a", since=100.0, kind="", now=100.0)
    assert ready_at(table, 105.0) == []
    assert ready_at(table, 112.0) == ["a"]
    assert ready_at(table, 200.0) == []
    table.record_processing("a", sent=112.0, now=113.0)
    assert ready_at(table, 118.0) == []
    assert ready_at(table, 126.0) == ["a"]
    table.record_end("a", 126.0)
    assert len(table) == 0
    assert table.next_due() == math.inf


def test_the_first_poll_is_timed_from_the_submit() -> None:
    table = timetable()
    add(table, "old", since=0.0, kind="", now=100.0)
    add(table, "new", since=100.0, kind="", now=100.0, at_once=True)
    assert sorted(ready_at(table, 100.1)) == ["new", "old"]


def test_a_removed_task_is_not_polled_and_its_submit_time_is_remembered() -> None:
    table = timetable()
    add(table, "a", since=1.0, kind="5 mp4", now=2.0)
    add(table, "b", since=2.0, kind="", now=2.0)
    table.remove("a")
    assert ready_at(table, 20.0) == ["b"]
    assert list(table) == ["b"]
    assert table.add("a", 20.0) == 20.0  # due at 11, as it was submitted at 1


def test_a_task_removed_while_ready_may_be_added_again() -> None:
    table = timetable()
    add(table, "a", since=0.0, kind="", now=0.0)
    add(table, "c", since=0.0, kind="", now=0.0)
    first = table.pop_ready(20.0)
    other = "a" if first == "c" else "c"
    table.remove(other)
    add(table, "b", since=0.0, kind="", now=20.0)
    add(table, other, since=20.0, kind="", now=20.0)
    assert ready_at(table, 21.0) == ["b"]
    assert ready_at(table, 40.0) == [other]


def test_a_hint_brings_a_poll_forward_but_never_postpones_it() -> None:
    table = timetable()
    for key in "abc":
        add(table, key, since=0.0, kind="", now=0.0)
    table.bring_forward("b", 0.0, 0.0)
    assert ready_at(table, 0.0) == ["b"]
    table.bring_forward("a", 2.0, 0.0)
    assert ready_at(table, 3.0) == ["a"]
    table.bring_forward("c", 100.0, 3.0)
    assert ready_at(table, 15.0) == ["c"]


def test_a_hint_puts_a_ready_task_first() -> None:
    table = timetable()
    for key in "abcd":
        add(table, key, since=0.0, kind="", now=0.0)
    first = table.pop_ready(20.0)
    last = max(set("abcd") - {first})
    table.bring_forward(last, 20.0, 20.0)
    assert table.pop_ready(20.0) == last
    assert sorted(ready_at(table, 20.0)) == sorted(set("abcd") - {first, last})


def test_a_hint_during_a_poll_causes_another_poll() -> None:
    table = timetable()
    add(table, "a", since=0.0, kind="", now=0.0, at_once=True)
    assert ready_at(table, 1.0) == ["a"]
    table.bring_forward("a", 1.1, 1.1)
    table.record_processing("a", sent=1.0, now=1.2)
    assert ready_at(table, 1.3) == ["a"]


def test_failures_in_a_row_are_counted_and_postpone_is_a_floor() -> None:
    table = timetable()
    add(table, "a", since=0.0, kind="", now=0.0, at_once=True)
    assert [table.record_failure("a"), table.record_failure("a")] == [1, 2]
    assert ready_at(table, 0.1) == ["a"]
    table.postpone("a", due=30.0, now=0.1)
    table.replan(["a"], {""}, 0.2)
    assert ready_at(table, 29.9) == []
    assert ready_at(table, 31.0) == ["a"]
    table.record_processing("a", sent=31.0, now=31.0)
    assert table.record_failure("a") == 1


def test_a_changed_plan_marks_its_kind_outdated_and_replan_applies_it() -> None:
    table = timetable(AdaptivePolling())
    for number in range(300):
        add(table, f"quick {number}", since=0.0, kind="quick", now=0.0)
    add(table, "slow", since=0.0, kind="slow", now=0.0)
    now = 5.0
    while not table.outdated:
        now += 0.1
        for key in ready_at(table, now):
            if key == "slow":
                table.record_processing(key, sent=now, now=now)
            else:
                table.record_end(key, now)
    assert table.outdated == {"quick"}
    assert len(table) > 100
    table.replan(list(table), {"quick"}, now)
    soon = [ready_at(table, now + 1.0) for _ in range(10)]
    assert len([key for keys in soon for key in keys if key != "slow"]) == len(table) - 1


def test_a_plan_for_a_later_time_postpones_the_poll() -> None:
    waits = [5.0, 50.0]

    class LaterPlan:
        def delay(self, kind: str, age: float, rng: Random) -> float:
            return waits.pop(0)

    table = timetable(LaterPlan())
    add(table, "a", since=0.0, kind="", now=0.0)
    table.replan(["a"], {""}, 1.0)
    assert ready_at(table, 10.0) == []
    assert ready_at(table, 49.0) == []
    assert ready_at(table, 51.0) == ["a"]


def test_pop_ready_returns_none_if_nothing_is_due() -> None:
    assert timetable().pop_ready(0.0) is None


class AnyOrder(RuleBasedStateMachine):
    """In any order of calls, each task is polled, by one poll at a time."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.table = timetable(AdaptivePolling())
        self.now = 0.0
        self.added: set[str] = set()
        self.polled: set[str] = set()

    @rule(target=keys, key=st.text("ab", max_size=3))
    def name(self, key: str) -> str:
        return key

    @rule(key=keys, age=st.floats(0, 100), kind=st.sampled_from(["", "voice"]))
    def add(self, key: str, age: float, kind: str) -> None:
        if key not in self.added:
            add(self.table, key, self.now - age, kind, self.now)
            self.added.add(key)

    @rule(key=keys)
    def remove(self, key: str) -> None:
        if key in self.added:
            self.table.remove(key)
            self.added.remove(key)
            self.polled.discard(key)

    @rule(seconds=st.floats(0, 50))
    def advance_clock(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def pop_ready(self) -> None:
        key = self.table.pop_ready(self.now)
        if key is not None:
            assert key in self.added - self.polled
            self.polled.add(key)

    @precondition(lambda self: self.polled)
    @rule(data=st.data(), how=st.sampled_from(["processing", "ended", "failed"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.polled)))
        self.polled.remove(key)
        if how == "processing":
            self.table.record_processing(key, self.now, self.now)
        elif how == "ended":
            self.table.record_end(key, self.now)
            self.added.remove(key)
        else:
            self.table.record_failure(key)
            self.table.postpone(key, self.now + 5.0, self.now)

    @rule(key=keys, within=st.sampled_from([0.0, 3.0]))
    def bring_forward(self, key: str, within: float) -> None:
        if key in self.added:
            self.table.bring_forward(key, self.now + within, self.now)

    @rule(kind=st.sampled_from(["", "voice"]))
    def replan(self, kind: str) -> None:
        self.table.replan(sorted(self.added), {kind}, self.now)

    @invariant()
    def every_added_task_has_one_row(self) -> None:
        assert set(self.table) == self.added
        assert len(self.table) == len(self.added)

    def teardown(self) -> None:
        """Every task that is not being polled is ready in the end."""
        found: set[str] = set()
        for _ in range(10):
            self.now += 1000.0
            for key in ready_at(self.table, self.now):
                assert key not in found
                found.add(key)
        assert found == self.added - self.polled


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_in_any_order = AnyOrder.TestCase


class TestHints:
    def test_after_a_hint_that_was_too_early_the_next_polls_come_soon(self) -> None:
        table = Timetable(FixedInterval(1000.0), Random(1), patience=1.0)
        add(table, "a", 0.0, "kind", 0.0)
        table.bring_forward("a", 10.0, 10.0)
        now, delays = 10.0, []
        for _ in range(6):
            assert table.pop_ready(now) == "a"
            due = table.record_processing("a", now, now)
            delays.append(due - now)
            now = due
        for delay, expected in zip(delays, (1, 2, 4, 8, 16, 32), strict=True):
            assert 0.7 * expected <= delay <= 1.3 * expected

    def test_a_hint_never_makes_a_poll_later(self) -> None:
        table = Timetable(FixedInterval(0.5), Random(1), patience=1.0)
        add(table, "a", 0.0, "kind", 0.0)
        table.bring_forward("a", 0.1, 0.1)
        now = 0.1
        for _ in range(20):
            assert table.pop_ready(now) == "a"
            due = table.record_processing("a", now, now)
            assert due - now <= 0.75
            now = due

    def test_only_an_end_confirms_a_notification(self) -> None:
        policy = NotifiedPolling(FixedInterval(1.0))
        policy.delay("kind", 0.0, Random(1))  # the trial
        table = Timetable(policy, Random(1), patience=1.0)
        add(table, "a", 0.0, "kind", 0.0)
        table.bring_forward("a", 0.5, 0.5)
        assert table.pop_ready(0.5) == "a"
        table.record_processing("a", 0.5, 0.5)
        assert policy.delay("kind", 1.0, Random(1)) <= 1.1  # not proven: polled as the policy says
        assert table.pop_ready(10.0) == "a"
        table.record_end("a", 10.0)
        assert policy.delay("kind", 1.0, Random(1)) >= 9.0


# --- what is remembered of tasks that nobody waits for ---


class Kinds(FixedInterval):
    """Remembers the kinds that it was asked for."""

    asked: ClassVar[list[str]] = []

    def delay(self, kind: str, age: float, rng: Random) -> float:
        self.asked.append(kind)
        return super().delay(kind, age, rng)


def test_the_oldest_submit_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetable_module, "_SUBMITS", 2)
    table = timetable()
    for key in "abc":
        table.submitted(key, 0.0, "")
    assert [table.add(key, 100.0) > 100.0 for key in "abc"] == [True, False, False]


def test_submits_and_notifications_are_remembered_until_the_task_is_added() -> None:
    policy = Kinds(10.0)
    policy.asked.clear()
    table = timetable(policy)
    table.submitted("a", 3.0, "1 mp4")
    table.submitted("b", 3.0, "2 mp4")
    table.notified("b")
    assert 12.0 <= table.add("a", 7.0) <= 17.0
    assert table.add("b", 7.0) == 7.0
    assert policy.asked == ["1 mp4"]
    table.record_end("a", 8.0)
    table.record_end("b", 8.0)
    assert table.add("a", 7.0) >= 13.0
    assert table.add("b", 7.0) >= 13.0
    assert policy.asked == ["1 mp4", "", ""]


def test_a_notification_of_a_task_that_was_found_ended_is_confirmed() -> None:
    policy = NotifiedPolling(FixedInterval(1.0))
    table = Timetable(policy, Random(1), patience=1.0)
    add(table, "a", 0.0, "kind", 0.0)  # the trial
    assert ready_at(table, 2.0) == ["a"]
    table.record_end("a", 2.0)
    assert policy.delay("kind", 0.0, Random(1)) <= 1.1
    table.notified("a")
    assert policy.delay("kind", 0.0, Random(1)) >= 9.0
    assert table.add("a", 7.0) > 7.0
