"""How often a task is looked at because of notifications that name it.

The first look comes at once. If a task has not ended by then, somebody posted too early, and
may go on to do so: each further notification brings one look, but the gap to the one before
is twice as long each time, and what comes while a look is still to come is dropped. So a flood
costs a few looks, and the true notification after forged ones is not lost in it.
"""

import math

from attrs import define, field

_FIRST_GAP = 1.0
_LONGEST_GAP = 600.0
_REMEMBERED = 10_000


@define
class Repeats:
    """What has been notified lately: some thousand tasks are remembered, by their ids."""

    _looks: dict[str, tuple[float, float]] = field(factory=dict, init=False)

    def knows(self, task_id: str) -> bool:
        """Whether this task has been notified before."""
        return task_id in self._looks

    def wait(self, task_id: str, now: float) -> float | None:
        """Seconds until the look that a notification brings; `None` if one is still to come."""
        at, gap = self._looks.pop(task_id, (-math.inf, _FIRST_GAP / 2))
        wait = None
        if at <= now:
            gap = min(2 * gap, _LONGEST_GAP)
            wait = max(at + gap - now, 0.0)
            at = now + wait
        self._looks[task_id] = (at, gap)
        if len(self._looks) > _REMEMBERED:
            del self._looks[next(iter(self._looks))]
        return wait
