"""Tasks that were paid for and whose results nobody has, kept until somebody attaches to them."""

from collections.abc import Mapping

from attrs import define, evolve, field, frozen

from photoanimer_async.models import AnimationRequest, Outcome, TaskId
from photoanimer_async.storage.result_store import ResultStore

_KEPT = 1000


@frozen
class UnclaimedTask:
    """A task that was paid for.

    Attributes:
        task_id: the task.
        request: what was submitted, without the content of a photo that is bytes.
        store: where its result was to go; `None` if it was not to be downloaded.
        outcome: how its job ended, if it ended with a result or with a failed task.
    """

    task_id: TaskId
    request: AnimationRequest
    store: ResultStore | None = None
    outcome: Outcome | None = None


@define
class UnclaimedTasks:
    """The unclaimed tasks of one client; the latest thousand are kept."""

    _tasks: dict[str, UnclaimedTask] = field(factory=dict, init=False)

    def add(
        self,
        task_id: TaskId,
        request: AnimationRequest,
        store: ResultStore | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Keep a task; see `UnclaimedTask`."""
        request = _without_content(request)
        if outcome is not None:
            outcome = evolve(outcome, request=request)
        self._tasks.pop(str(task_id), None)
        self._tasks[str(task_id)] = UnclaimedTask(task_id, request, store, outcome)
        if len(self._tasks) > _KEPT:
            del self._tasks[next(iter(self._tasks))]

    def get(self, task_id: TaskId) -> UnclaimedTask | None:
        """Return a task; `None` if it is not kept."""
        return self._tasks.get(str(task_id))

    def pop(self, task_id: TaskId) -> None:
        """Forget a task, if it is kept: its result has been claimed."""
        self._tasks.pop(str(task_id), None)

    def requests(self) -> Mapping[TaskId, AnimationRequest]:
        """Return what was submitted, by task id."""
        return {task.task_id: task.request for task in self._tasks.values()}


def _without_content(request: AnimationRequest) -> AnimationRequest:
    return evolve(request, photo=b"") if isinstance(request.photo, bytes) else request
