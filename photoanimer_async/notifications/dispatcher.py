"""What a client makes of the notifications that come in."""

from collections.abc import Callable, Sequence

from photoanimer_async.models import TaskId
from photoanimer_async.notifications.repeats import Repeats
from photoanimer_async.notifications.unclaimed import Strays
from photoanimer_async.polling.notified import SafetyNet


class Inbox:
    """Turns notifications into looks, and keeps those that nobody here has submitted.

    Args:
        safety_net: is told that notifications arrive.
        clock: seconds on the clock of looks.
        look: brings a task's next look forward, to so many seconds from now.
        keeps_strays: whether this client is the only one to use its key; see `strays`.
    """

    def __init__(
        self,
        safety_net: SafetyNet,
        clock: Callable[[], float],
        look: Callable[[TaskId, float], None],
        *,
        keeps_strays: bool,
    ) -> None:
        self._safety_net = safety_net
        self._clock = clock
        self._look = look
        self._repeats = Repeats()
        self._strays = Strays() if keeps_strays else None

    def take(self, task_id: TaskId) -> None:
        """A notification names a task. It is a hint: whoever waits is told what a look finds."""
        if self._strays is not None:
            self._strays.named(task_id)
        if not self._repeats.knows(str(task_id)):
            self._safety_net.arrived()
        wait = self._repeats.wait(str(task_id), self._clock())
        if wait is not None:
            self._look(task_id, wait)

    def submitted(self, task_id: TaskId) -> None:
        """A submit was told this id."""
        if self._strays is not None:
            self._strays.submitted(task_id)

    def strays(self) -> Sequence[TaskId]:
        """Tasks that were notified and that no submit was told the ids of."""
        return [] if self._strays is None else self._strays.ids()
