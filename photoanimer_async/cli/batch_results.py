"""Record what has become of each photo or task of a batch, for the display and the summary."""

import os
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import PurePath

from attrs import Factory, define, frozen

from photoanimer_async.errors import (
    AmbiguousSubmitError,
    NotSentError,
    PhotoAnimerError,
    TaskFailedError,
)
from photoanimer_async.models import Location, Photo, TaskId
from photoanimer_async.redaction import is_url, printable, shown_photo


class ResultKind(Enum):
    """The kinds of results that a user has to act on differently."""

    SAVED = auto()
    FAILED = auto()
    """There will be no result."""
    UNCLEAR = auto()
    """The submit may or may not have been accepted and charged."""
    UNCOLLECTED = auto()
    """The task was accepted, but its result is not saved; it can be waited for again."""


@frozen
class PhotoResult:
    """The result of one photo.

    Attributes:
        name: the photo's name, or the task's, printable.
        task_id: its task, if the submit was accepted.
        location: where the result is saved.
        seconds: from the submit to the end of the task.
        error: why there is no result.
        earlier: whether an earlier run has saved it.
        index: the photo's place in the batch, from 0; `None` for a name that stands for no photo.
        source: the photo as programs find it again: its path, or its URL without the query.
    """

    name: str
    task_id: TaskId | None = None
    location: Location | None = None
    seconds: float | None = None
    error: PhotoAnimerError | None = None
    earlier: bool = False
    index: int | None = None
    source: str | None = None

    @property
    def kind(self) -> ResultKind:
        """Which kind of result this is."""
        match self.error:
            case None:
                return ResultKind.SAVED
            case AmbiguousSubmitError():
                return ResultKind.UNCLEAR
            case TaskFailedError():
                return ResultKind.FAILED
            case _:
                return ResultKind.FAILED if self.task_id is None else ResultKind.UNCOLLECTED

    @property
    def file_name(self) -> str:
        """The name of the saved file; empty if there is none."""
        return "" if self.location is None else PurePath(self.location).name

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
class PhotoInProgress:
    """A photo whose submit has started.

    Attributes:
        name: the photo's name, printable.
        task_id: its task; `None` while the submit has no answer.
        index: its place in the batch, from 0.
        source: see `PhotoResult`.
    """

    name: str
    task_id: TaskId | None = None
    index: int | None = None
    source: str | None = None


@define
class BatchResults:
    """The results of a batch so far, and the photos in progress.

    Attributes:
        total: how many photos there are.
        submitted: how many submits were accepted.
        ended: the results, in the order in which they ended.
    """

    total: int
    submitted: int = 0
    ended: list[PhotoResult] = Factory(list)
    _in_progress: dict[int, PhotoInProgress] = Factory(dict)

    def add_submit(self, index: int, name: str) -> None:
        """Record that a photo's submit is about to be sent."""
        self._in_progress[index] = PhotoInProgress(name)

    def add_task(
        self, index: int, name: str, task_id: TaskId, source: str | None = None
    ) -> PhotoInProgress:
        """Record that a photo's submit was accepted, and return what is known of it."""
        self.submitted += 1
        photo = self._in_progress[index] = PhotoInProgress(name, task_id, index, source)
        return photo

    def add_result(self, index: int | None, result: PhotoResult) -> None:
        """Record the end of a photo; the index is `None` for one that was not in the batch."""
        if index is not None:
            self._in_progress.pop(index, None)
        self.ended.append(result)

    @property
    def processing(self) -> int:
        """How many tasks are at the service, or have a result that is being downloaded."""
        return sum(photo.task_id is not None for photo in self._in_progress.values())

    @property
    def in_progress(self) -> Sequence[PhotoInProgress]:
        """The photos whose submits have started and that have not ended."""
        return list(self._in_progress.values())

    @property
    def remaining(self) -> int:
        """How many photos have not ended."""
        return self.total - len(self.ended)

    @property
    def is_resumable(self) -> bool:
        """Whether the batch can be continued: not all is tried, sent and collected."""
        unsent = any(isinstance(result.error, NotSentError) for result in self.ended)
        return unsent or self.remaining > 0 or self.count(ResultKind.UNCOLLECTED) > 0

    def of_kind(self, kind: ResultKind) -> Sequence[PhotoResult]:
        """Return the results of one kind."""
        return [result for result in self.ended if result.kind is kind]

    def count(self, kind: ResultKind) -> int:
        """Return how many results are of one kind."""
        return sum(result.kind is kind for result in self.ended)


def source_of(photo: Photo) -> str:
    """Return a photo's whole path, which a program can look for; other photos as in texts."""
    if isinstance(photo, bytes) or is_url(os.fspath(photo)):
        return shown_photo(photo)
    return os.fspath(photo)
