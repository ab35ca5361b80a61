"""Which task is looked at when, with a clock that is a number."""

from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from photoanimer_async.polling.policies import AdaptivePolling, FixedInterval, PollPolicy
from photoanimer_async.polling.timetable import Timetable


def timetable(policy: PollPolicy | None = None) -> Timetable:
    return Timetable(policy or FixedInterval(10.0), Random(1), patience=1.0)


def turns_at(table: Timetable, now: float) -> list[str]:
    """All whose turn has come by now."""
    table.give_turns(now)
    return [key for _ in range(table.turns) if (key := table.take_turn(now)) is not None]


def test_a_look_at_a_task_that_is_processing_is_followed_by_another() -> None:
    table = timetable()
    table.add("a", since=100.0, kind="", now=100.0)
    assert turns_at(table, 105.0) == []
    assert turns_at(table, 112.0) == ["a"]
    assert turns_at(table, 200.0) == []
    table.pending("a", asked=112.0, now=113.0)
    assert turns_at(table, 118.0) == []
    assert turns_at(table, 126.0) == ["a"]
    table.ended("a", 126.0)
    assert len(table) == 0
    assert table.next_due() is None


def test_the_first_look_counts_from_the_submit() -> None:
    table = timetable()
    table.add("old", since=0.0, kind="", now=100.0)
    table.add("new", since=100.0, kind="", now=100.0, at_once=True)
    assert sorted(turns_at(table, 100.1)) == ["new", "old"]


def test_what_is_removed_gets_no_turn_and_tells_since_when_it_was_there() -> None:
    table = timetable()
    table.add("a", since=1.0, kind="5 mp4", now=2.0)
    table.add("b", since=2.0, kind="", now=2.0)
    assert table.remove("a") == (1.0, "5 mp4")
    assert turns_at(table, 20.0) == ["b"]
    assert list(table) == ["b"]


def test_one_that_is_removed_while_it_has_a_turn_gives_it_up_but_may_come_back() -> None:
    table = timetable()
    table.add("a", since=0.0, kind="", now=0.0)
    table.give_turns(20.0)
    assert table.turns == 1
    table.add("b", *table.remove("a"), now=20.0)
    assert table.take_turn(20.0) is None
    table.add("a", since=20.0, kind="", now=20.0)
    assert turns_at(table, 21.0) == ["b"]
    assert turns_at(table, 40.0) == ["a"]


def test_a_hint_brings_the_next_look_forward_but_never_puts_it_off() -> None:
    table = timetable()
    for key in "abc":
        table.add(key, since=0.0, kind="", now=0.0)
    table.bring_forward("b", 0.0, 0.0)
    assert turns_at(table, 0.0) == ["b"]
    table.bring_forward("a", 2.0, 0.0)
    assert turns_at(table, 3.0) == ["a"]
    table.bring_forward("c", 100.0, 3.0)
    assert turns_at(table, 15.0) == ["c"]


def test_a_hint_gives_a_turn_before_all_that_wait() -> None:
    table = timetable()
    for key in "abc":
        table.add(key, since=0.0, kind="", now=0.0)
    table.give_turns(20.0)
    table.bring_forward("c", 20.0, 20.0)
    assert table.take_turn(20.0) == "c"
    assert sorted(turns_at(table, 20.0)) == ["a", "b"]


def test_a_hint_during_a_look_asks_for_another_one_before_it_for_none() -> None:
    table = timetable()
    table.add("a", since=0.0, kind="", now=0.0, at_once=True)
    assert turns_at(table, 0.1) == ["a"]
    table.bring_forward("a", 0.2, 0.2)
    table.look_begins("a")
    table.pending("a", asked=0.2, now=0.3)
    assert turns_at(table, 1.0) == []
    table.bring_forward("a", 1.0, 1.0)
    assert turns_at(table, 1.0) == ["a"]
    table.look_begins("a")
    table.bring_forward("a", 1.1, 1.1)
    table.pending("a", asked=1.0, now=1.2)
    assert turns_at(table, 1.3) == ["a"]


def test_failures_are_counted_in_a_row_and_the_next_look_keeps_its_distance() -> None:
    table = timetable()
    table.add("a", since=0.0, kind="", now=0.0, at_once=True)
    assert [table.failed("a"), table.failed("a")] == [1, 2]
    assert turns_at(table, 0.1) == ["a"]
    table.postpone("a", due=30.0, now=0.1)
    table.plan_anew(["a"], {""}, 0.2)
    assert turns_at(table, 29.9) == []
    assert turns_at(table, 31.0) == ["a"]
    table.pending("a", asked=31.0, now=31.0)
    assert table.failed("a") == 1


def test_a_kind_whose_plans_have_changed_is_told_and_planned_anew() -> None:
    table = timetable(AdaptivePolling())
    for number in range(300):
        table.add(f"quick {number}", since=0.0, kind="quick", now=0.0)
    table.add("slow", since=0.0, kind="slow", now=0.0)
    now = 5.0
    while not table.outdated:
        now += 0.1
        for key in turns_at(table, now):
            if key == "slow":
                table.pending(key, asked=now, now=now)
            else:
                table.ended(key, now)
    assert table.outdated == {"quick"}
    assert len(table) > 100
    table.plan_anew(list(table), {"quick"}, now)
    soon = [turns_at(table, now + 1.0) for _ in range(10)]
    assert len([key for keys in soon for key in keys if key != "slow"]) == len(table) - 1


def test_what_is_planned_for_later_comes_later_but_comes() -> None:
    waits = [5.0, 50.0]

    class SecondThoughts:
        def delay(self, kind: str, age: float, rng: Random) -> float:
            return waits.pop(0)

    table = timetable(SecondThoughts())
    table.add("a", since=0.0, kind="", now=0.0)
    table.plan_anew(["a"], {""}, 1.0)
    assert turns_at(table, 10.0) == []
    assert turns_at(table, 49.0) == []
    assert turns_at(table, 51.0) == ["a"]


def test_whose_turn_it_is_when_none_has_one() -> None:
    with pytest.raises(LookupError):
        timetable().take_turn(0.0)


class AnyOrder(RuleBasedStateMachine):
    """Whatever is done in whatever order, each task is looked at, by one at a time."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.table = timetable(AdaptivePolling())
        self.now = 0.0
        self.there: set[str] = set()
        self.looked_at: set[str] = set()

    @rule(target=keys, key=st.text("ab", max_size=3))
    def name(self, key: str) -> str:
        return key

    @rule(key=keys, age=st.floats(0, 100), kind=st.sampled_from(["", "voice"]))
    def add(self, key: str, age: float, kind: str) -> None:
        if key not in self.there:
            self.table.add(key, self.now - age, kind, self.now)
            self.there.add(key)

    @rule(key=keys)
    def remove(self, key: str) -> None:
        if key in self.there:
            self.table.remove(key)
            self.there.remove(key)
            self.looked_at.discard(key)

    @rule(seconds=st.floats(0, 50))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.table.give_turns(self.now)

    @precondition(lambda self: self.table.turns)
    @rule()
    def take_turn(self) -> None:
        key = self.table.take_turn(self.now)
        if key is not None:
            assert key in self.there - self.looked_at
            self.looked_at.add(key)
            self.table.look_begins(key)

    @precondition(lambda self: self.looked_at)
    @rule(data=st.data(), how=st.sampled_from(["pending", "ended", "postpone"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.looked_at)))
        self.looked_at.remove(key)
        if how == "pending":
            self.table.pending(key, self.now, self.now)
        elif how == "ended":
            self.table.ended(key, self.now)
            self.there.remove(key)
        else:
            self.table.failed(key)
            self.table.postpone(key, self.now + 5.0, self.now)

    @rule(key=keys, within=st.sampled_from([0.0, 3.0]))
    def bring_forward(self, key: str, within: float) -> None:
        if key in self.there:
            self.table.bring_forward(key, self.now + within, self.now)

    @rule(kind=st.sampled_from(["", "voice"]))
    def plan_anew(self, kind: str) -> None:
        self.table.plan_anew(sorted(self.there), {kind}, self.now)

    @invariant()
    def every_task_is_there_once(self) -> None:
        assert set(self.table) == self.there
        assert len(self.table) == len(self.there)

    def teardown(self) -> None:
        """In the end every task that is not being looked at gets its turn."""
        found: set[str] = set()
        for _ in range(10):
            self.now += 1000.0
            self.table.give_turns(self.now)
            while self.table.turns:
                key = self.table.take_turn(self.now)
                if key is not None:
                    assert key not in found
                    found.add(key)
        assert found == self.there - self.looked_at


test_in_any_order = AnyOrder.TestCase
