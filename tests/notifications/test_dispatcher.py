"""How many polls notifications cause, and when."""

from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import TaskId
from photoanimer_async.notifications.dispatcher import NotificationDispatcher


class Recorded:
    """A dispatcher on a clock that is set by hand, and the delays of the polls it causes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.polls: list[tuple[TaskId, float]] = []
        self._dispatcher = NotificationDispatcher(
            lambda: self.now,
            lambda task_id, within: self.polls.append((task_id, within)),
        )

    def notify(self, task_id: TaskId, at: float) -> float | None:
        """Return the delay of the poll that this notification causes, `None` for no poll."""
        self.now = at
        before = len(self.polls)
        self._dispatcher.dispatch(task_id)
        return self.polls[-1][1] if len(self.polls) > before else None


def test_each_further_notification_of_a_task_waits_twice_as_long() -> None:
    recorded = Recorded()
    assert recorded.notify("a", at=100.0) == 0.0
    assert recorded.notify("a", at=100.5) == 1.5
    assert recorded.notify("a", at=101.0) is None
    assert recorded.notify("a", at=102.0) == 4.0
    assert recorded.notify("a", at=1000.0) == 0.0
    assert recorded.notify("b", at=102.0) == 0.0
    assert [task_id for task_id, _ in recorded.polls] == ["a", "a", "a", "a", "b"]


def test_a_notification_waits_for_ten_minutes_at_most() -> None:
    recorded = Recorded()
    delays, now = [], 0.0
    for _ in range(12):
        delay = recorded.notify("a", at=now)
        assert delay is not None
        delays.append(delay)
        now += delay
    assert delays == [0.0, *(2.0**power for power in range(1, 10)), 600.0, 600.0]


def test_a_task_id_may_be_a_number_or_a_string() -> None:
    recorded = Recorded()
    assert recorded.notify(7, at=100.0) == 0.0
    assert recorded.notify("7", at=100.0) == 2.0


@given(st.lists(st.floats(0, 0.5), max_size=300))
def test_a_flood_of_notifications_costs_one_poll_per_doubling_of_time(gaps: list[float]) -> None:
    recorded = Recorded()
    now = 0.0
    for gap in gaps:
        now += gap
        recorded.notify("a", at=now)
    assert len(recorded.polls) <= 10


def test_a_bounded_number_of_tasks_is_remembered() -> None:
    recorded = Recorded()
    for number in range(10_001):
        recorded.notify(number, at=0.0)
    assert recorded.notify(1, at=0.5) == 1.5  # remembered
    assert recorded.notify(0, at=0.5) == 0.0  # forgotten
