"""What has become of each photo or task of a batch, as far as a person wants to know."""

from collections.abc import Sequence
from enum import Enum, auto
from pathlib import PurePath

from attrs import Factory, define, frozen

from photoanimer_async.errors import AmbiguousSubmitError, PhotoAnimerError, TaskFailedError
from photoanimer_async.models import Location, TaskId
from photoanimer_async.redaction import printable


class Fate(Enum):
    """How one photo ended."""

    SAVED = auto()
    FAILED = auto()
    """There will be no result."""
    UNCLEAR = auto()
    """The submit may or may not have been accepted, and charged."""
    UNCOLLECTED = auto()
    """The task was accepted, but its result is not here; it can be waited for again."""


@frozen
class Ending:
    """How one photo ended.

    Attributes:
        name: the photo's name, or the task's, printable.
        task_id: its task, if the submit was accepted.
        place: where the result is.
        seconds: from the submit to the end of the task.
        error: why there is no result.
        earlier: whether an earlier run has saved it.
    """

    name: str
    task_id: TaskId | None = None
    place: Location | None = None
    seconds: float | None = None
    error: PhotoAnimerError | None = None
    earlier: bool = False

    @property
    def fate(self) -> Fate:
        """What this means."""
        match self.error:
            case None:
                return Fate.SAVED
            case AmbiguousSubmitError():
                return Fate.UNCLEAR
            case TaskFailedError():
                return Fate.FAILED
            case _:
                return Fate.FAILED if self.task_id is None else Fate.UNCOLLECTED

    @property
    def result_name(self) -> str:
        """What the result is called; empty if there is none."""
        return "" if self.place is None else PurePath(self.place).name

    @property
    def reason(self) -> str:
        """Why there is no result, without the photo's own name: equal for equal causes."""
        match self.error:
            case TaskFailedError(info=info):
                why = info.fail_reason or "the task failed; often no person was detected"
                code = "" if info.fail_code is None else f" (code {info.fail_code})"
                return f"{printable(why).rstrip('.')}{code}"
            case AmbiguousSubmitError(__cause__=PhotoAnimerError() as cause):
                return str(cause)
            case error:
                return str(error or "").removeprefix(f"{self.name}: ")


@frozen
class UnderWay:
    """A photo whose submit has begun.

    Attributes:
        name: the photo's name, printable.
        task_id: its task; `None` while the submit has no answer.
    """

    name: str
    task_id: TaskId | None = None


@define
class Ledger:
    """Counts a batch while it runs.

    Attributes:
        total: how many photos there are.
        submitted: how many submits were accepted.
        endings: those that ended, in that order.
    """

    total: int
    submitted: int = 0
    endings: list[Ending] = Factory(list)
    _under_way: dict[int, UnderWay] = Factory(dict)

    def submitting(self, index: int, name: str) -> None:
        """The photo's submit is about to leave."""
        self._under_way[index] = UnderWay(name)

    def accepted(self, index: int, name: str, task_id: TaskId) -> None:
        """The photo has a task."""
        self.submitted += 1
        self._under_way[index] = UnderWay(name, task_id)

    def ended(self, index: int | None, ending: Ending) -> None:
        """A photo has ended; `None` for one that was never in the batch."""
        if index is not None:
            self._under_way.pop(index, None)
        self.endings.append(ending)

    @property
    def processing(self) -> int:
        """How many tasks the service works on, or have results on their way here."""
        return sum(photo.task_id is not None for photo in self._under_way.values())

    @property
    def under_way(self) -> Sequence[UnderWay]:
        """The photos whose submits have begun and that have not ended."""
        return list(self._under_way.values())

    @property
    def remaining(self) -> int:
        """How many have not ended."""
        return self.total - len(self.endings)

    def with_fate(self, fate: Fate) -> Sequence[Ending]:
        """The endings of one kind."""
        return [ending for ending in self.endings if ending.fate is fate]

    def count(self, fate: Fate) -> int:
        """How many ended that way."""
        return sum(ending.fate is fate for ending in self.endings)
