"""Polling of tasks whose ends are notified.

While notifications arrive, a poll only serves the task whose notification was lost. So it comes
when nearly all tasks of the kind have ended, as far as that is known, and with a policy that does
not learn, after ten times that policy's delay; but never more than 20 s later than the policy
alone would poll.

At first it is not known whether notifications arrive: the address may be one that the service
cannot reach. So one task of each kind is polled as the policy says. If its end is found before
any notification has come in, the same holds for all others; if a notification comes in first,
that trial is over.

From then on the share of tasks whose notifications arrive is estimated: each task that ends
takes a tenth off it, each notification that a poll has confirmed adds a tenth; one that names a
task which has not ended counts for nothing. While it is below a half, polls come as the
policy says, until enough notifications come in again. So an address that fails delays some
results, not all. A task that was not submitted by this client may have been notified before:
its first poll also comes as the policy says.
"""

from bisect import bisect_left, bisect_right
from random import Random

from photoanimer_async.polling.durations import EDGES
from photoanimer_async.polling.policies import LearningPolicy, PollPolicy

_STEP = 0.1  # that one end, or one notification, changes the share by
_HALF = 0.5  # the share from which on notifications are trusted
_NEARLY_ALL = 0.9  # the share of tasks that end before one is polled whose notification is missing,
_MARGIN = 1.25  # and by how much later it is
_TIMES = 10.0  # the delay of a policy that does not learn, so often
_SHORTEST, _LONGEST = 20.0, 600.0  # seconds between two polls while notifications are trusted,
_LONGEST_EXTRA = 20.0  # and no more than these later than the policy alone


class NotifiedPolling:
    """A `LearningPolicy` that polls rarely while notifications arrive.

    Args:
        policy: the policy for the time when no notifications arrive.
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
        """Whether notifications seem to arrive, so that few polls are needed."""
        return self._share >= _HALF

    def notification_confirmed(self) -> None:
        """Record a notification whose task has ended, by getTaskInfo; before `task_ended`."""
        self._share = min(self._share + _STEP, 1.0) if self._has_proof else 1.0
        self._has_proof = True

    def delay(self, kind: str, age: float, rng: Random) -> float:
        """See `PollPolicy`."""
        plain = self._policy.delay(kind, age, rng)
        if not self.is_trusted or self._is_trial(kind, age):
            return plain
        self._slowed.add(kind)
        if self._learner is None:
            slow = _TIMES * plain
        else:
            wait = _MARGIN * _likely_end(self._learner, kind, age) - age
            slow = min(max(wait, _SHORTEST), _LONGEST) * rng.uniform(1.0, _MARGIN)
        return min(slow, plain + _LONGEST_EXTRA)

    def _is_trial(self, kind: str, age: float) -> bool:
        """Whether a task is polled as the policy says, although notifications are trusted."""
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
        return self._has_lost_trust(kind) or changed

    def task_ended(self, kind: str, after: float, age: float) -> bool:
        """See `LearningPolicy`."""
        self._share *= 1.0 - _STEP if self._has_proof else 0.0
        changed = self._learner is not None and self._learner.task_ended(kind, after, age)
        return self._has_lost_trust(kind) or changed

    def _has_lost_trust(self, kind: str) -> bool:
        """Whether trust was lost since tasks of this kind were given late polls."""
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
    """Return the age by which nearly all tasks that had not ended at this one have ended."""
    return EDGES[
        bisect_left(
            EDGES,
            _NEARLY_ALL,
            lo=bisect_right(EDGES, age, hi=len(EDGES) - 1),
            hi=len(EDGES) - 1,
            key=lambda edge: learner.chance(kind, age, edge),
        )
    ]
