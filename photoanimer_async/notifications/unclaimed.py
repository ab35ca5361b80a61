"""Tasks that notifications name and nobody here has submitted.

What such a task proves. If the key is used by this client alone, a task that the service
knows under it was submitted from here; and if no submit was told its id, it is that of a
submit whose answer was lost. Where exactly one such task and one such submit are left over,
they belong together.

What it does not prove. Anybody else who submits with the key makes tasks that look the same,
and so do batches of another journal whose notifications come late. So it counts only where the
user vouches for that: `NotificationReceiver(..., exclusive=True)`. A notification alone proves
nothing at all; the task must be there, and finished, by getTaskInfo.
"""

from collections.abc import Sequence

from attrs import define, field

from photoanimer_async.models import TaskId

_MOST = 10
_REMEMBERED = 200_000


@define
class Strays:
    """The tasks of one client that is the only one to use its key."""

    _submitted: dict[str, None] = field(factory=dict, init=False)
    _strays: dict[str, TaskId] = field(factory=dict, init=False)

    def submitted(self, task_id: TaskId) -> None:
        """A submit was told this id; its notification may have been quicker."""
        self._strays.pop(str(task_id), None)
        self._submitted[str(task_id)] = None
        if len(self._submitted) > _REMEMBERED:
            del self._submitted[next(iter(self._submitted))]

    def named(self, task_id: TaskId) -> None:
        """A notification names this id; beyond a few strays no more are kept."""
        if str(task_id) not in self._submitted and len(self._strays) < _MOST:
            self._strays[str(task_id)] = task_id

    def ids(self) -> Sequence[TaskId]:
        """Those that no submit was told."""
        return list(self._strays.values())
