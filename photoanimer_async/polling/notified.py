"""When to look at a task whose end should be notified.

How it works. While notifications arrive, a look is there for the task whose notification was
lost. So it comes when nearly all tasks of the kind have ended, as far as that has been
learned, and with a policy that does not learn, ten times as late as that policy says.

Whether notifications arrive is not known at first: the address may be one that nobody can
reach. So one task of each kind is looked at as the policy says. If its end is found before
any notification has come in, so are all the others; if one comes in first, none is.

From then on it is kept as a share: each task that ends takes a tenth off it, each notification
puts a tenth on. When it falls below a half, the looks are those of the policy again, until
notifications come in anew. So an address that fails costs some tasks a delay, not all. A task
that was not submitted here may have been notified before: its first look, too, comes as the
policy says.
"""

from bisect import bisect_left, bisect_right
from random import Random

from photoanimer_async.polling.durations import EDGES
from photoanimer_async.polling.policies import LearningPolicy, PollPolicy

_STEP = 0.1
_HALF = 0.5
_NEARLY_ALL = 0.9
_MARGIN = 1.25
_TIMES = 10.0
_SHORTEST = 20.0
_LONGEST = 600.0


class NotifiedPolling:
    """A `LearningPolicy` for tasks whose ends are notified.

    Args:
        policy: when to look if no notifications arrive.
    """

    def __init__(self, policy: PollPolicy) -> None:
        self._policy = policy
        self._learner = policy if isinstance(policy, LearningPolicy) else None
        self._share = 1.0
        self._has_proof = False
        self._tried: set[str] = set()
        self._slowed: set[str] = set()

    @property
    def is_trusted(self) -> bool:
        """Whether notifications seem to arrive, so that looks may be few."""
        return self._share >= _HALF

    def arrived(self) -> None:
        """A notification has come in, the first of its task."""
        self._share = min(self._share + _STEP, 1.0) if self._has_proof else 1.0
        self._has_proof = True

    def delay(self, kind: str, age: float, rng: Random) -> float:
        """See `PollPolicy`."""
        if not self.is_trusted or self._is_to_be_tried(kind, age):
            return self._policy.delay(kind, age, rng)
        self._slowed.add(kind)
        if self._learner is None:
            return _TIMES * self._policy.delay(kind, age, rng)
        wait = _MARGIN * _likely_end(self._learner, kind, age) - age
        return min(max(wait, _SHORTEST), _LONGEST) * rng.uniform(1.0, _MARGIN)

    def _is_to_be_tried(self, kind: str, age: float) -> bool:
        if age > 0:
            return not self._has_proof
        if not kind:
            return True
        is_first = not self._has_proof and kind not in self._tried
        self._tried.add(kind)
        return is_first

    def task_added(self, kind: str) -> None:
        """See `LearningPolicy`."""
        if self._learner is not None:
            self._learner.task_added(kind)

    def task_processing(self, kind: str, after: float, age: float) -> bool:
        """See `LearningPolicy`."""
        changed = self._learner is not None and self._learner.task_processing(kind, after, age)
        return self._is_to_be_hurried(kind) or changed

    def task_ended(self, kind: str, after: float, age: float) -> bool:
        """See `LearningPolicy`."""
        self._share *= 1.0 - _STEP if self._has_proof else 0.0
        changed = self._learner is not None and self._learner.task_ended(kind, after, age)
        return self._is_to_be_hurried(kind) or changed

    def _is_to_be_hurried(self, kind: str) -> bool:
        """Whether trust was lost since tasks of this kind were given late looks."""
        if self.is_trusted or kind not in self._slowed:
            return False
        self._slowed.remove(kind)
        return True

    def task_removed(self, kind: str, after: float) -> None:
        """See `LearningPolicy`."""
        if self._learner is not None:
            self._learner.task_removed(kind, after)

    def chance(self, kind: str, after: float, age: float) -> float:
        """See `LearningPolicy`."""
        return 0.0 if self._learner is None else self._learner.chance(kind, after, age)


def _likely_end(learner: LearningPolicy, kind: str, age: float) -> float:
    """The age by which nearly all tasks have ended that had not at this one."""
    return EDGES[
        bisect_left(
            EDGES,
            _NEARLY_ALL,
            lo=bisect_right(EDGES, age, hi=len(EDGES) - 1),
            hi=len(EDGES) - 1,
            key=lambda edge: learner.chance(kind, age, edge),
        )
    ]
