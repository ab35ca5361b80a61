"""What the scheduler remembers of tasks that nobody waits for."""

from typing import TypeVar

from photoanimer_async.polling.notified import NotifiedPolling
from photoanimer_async.polling.policies import PollPolicy

_K = TypeVar("_K")
_V = TypeVar("_V")

_SUBMITS = 200_000
_NOTIFICATIONS = 10_000


class RememberedTasks:
    """The latest tasks that were submitted, notified or found ended, by their ids as strings.

    Args:
        policy: the poll policy; a `NotifiedPolling` learns which notifications were true.
    """

    def __init__(self, policy: PollPolicy) -> None:
        self._submitted = LatestDict[str, tuple[float, str]](_SUBMITS)
        self._notified = LatestDict[str, None](_NOTIFICATIONS)
        self._ended = LatestDict[str, None](_NOTIFICATIONS)
        self._notified_polling = policy if isinstance(policy, NotifiedPolling) else None

    def submitted(self, key: str, since: float, kind: str) -> None:
        """Remember when a task was submitted, and its kind."""
        self._submitted[key] = since, kind

    def notified(self, key: str) -> None:
        """Remember that a notification named a task."""
        if key in self._ended and self._notified_polling is not None:
            # Polled before its notification arrived, which is confirmed by that.
            del self._ended[key]
            self._notified_polling.notification_confirmed()
        else:
            self._notified[key] = None

    def ended(self, key: str) -> None:
        """Remember that a poll found a task ended."""
        if self._notified_polling is not None:
            self._ended[key] = None

    def get(self, key: str, now: float) -> tuple[float, str, bool]:
        """Return when a task was submitted, or `now`; its kind; and whether it was notified."""
        since, kind = self._submitted.get(key, (now, ""))
        return since, kind, key in self._notified

    def forget(self, key: str) -> None:
        """Forget a task, since it is waited for now."""
        self._submitted.pop(key, None)
        self._notified.pop(key, None)


class LatestDict(dict[_K, _V]):
    """A dictionary that drops its oldest entry when it would exceed a size.

    Args:
        size: entries, at most.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: _K, value: _V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._size:
            del self[next(iter(self))]
