"""From notifications to polls of the tasks that they name."""

import math
from collections.abc import Callable

from photoanimer_async.models import TaskId

_FIRST_GAP = 1.0
_LONGEST_GAP = 600.0
_REMEMBERED = 10_000


class NotificationDispatcher:
    """Polls a task when a notification names it, and limits how often that happens.

    The first notification of a task causes a poll at once. If the task has not ended by then,
    the notification was premature or forged. Each further one causes one more poll, with a
    minimum gap to the previous poll that doubles each time (1 s up to 600 s); a notification
    that arrives while such a poll is still due is ignored. So a flood of forged notifications
    costs a few polls, and a genuine one after it still has an effect.

    The last 10,000 notified tasks are remembered.

    Args:
        clock: returns the current time in seconds.
        poll_within: brings the next poll of a task forward, to at most so many seconds from now.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        poll_within: Callable[[TaskId, float], None],
    ) -> None:
        self._clock = clock
        self._poll_within = poll_within
        self._polls: dict[str, tuple[float, float]] = {}
        """The due time of each task's last poll, and the gap before it."""

    def dispatch(self, task_id: TaskId) -> None:
        """Poll the task that a notification names, unless such a poll is already due."""
        key = str(task_id)
        now = self._clock()
        due, gap = self._polls.pop(key, (-math.inf, _FIRST_GAP / 2))
        if due <= now:
            gap = min(2 * gap, _LONGEST_GAP)
            due = max(due + gap, now)
            self._poll_within(task_id, due - now)
        self._polls[key] = (due, gap)
        if len(self._polls) > _REMEMBERED:
            del self._polls[next(iter(self._polls))]
