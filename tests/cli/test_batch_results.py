import pytest

from photoanimer_async.cli.batch_results import (
    BatchResults,
    PhotoInProgress,
    PhotoResult,
    ResultKind,
)
from photoanimer_async.errors import (
    AmbiguousSubmitError,
    DownloadError,
    InvalidPhotoError,
    NoAnswerError,
    PhotoAnimerError,
    TaskFailedError,
    WaitTimeoutError,
)
from photoanimer_async.models import TaskInfo, TaskStatus

FACELESS = TaskFailedError(
    TaskInfo(7, TaskStatus.FAILED, fail_code=7001, fail_reason="no face was found.")
)


def lost_answer() -> AmbiguousSubmitError:
    error = AmbiguousSubmitError("a.png: long story", photo="a.png", image_url="", template=1)
    error.__cause__ = NoAnswerError("the connection was lost")
    return error


@pytest.mark.parametrize(
    ("task_id", "error", "kind"),
    [
        (7, None, ResultKind.SAVED),
        (None, InvalidPhotoError("a.png: is text", photo="a.png"), ResultKind.FAILED),
        (7, FACELESS, ResultKind.FAILED),
        (None, lost_answer(), ResultKind.UNCLEAR),
        (7, DownloadError("the disk is full"), ResultKind.UNCOLLECTED),
        (7, WaitTimeoutError(7, 60), ResultKind.UNCOLLECTED),
    ],
)
def test_the_kind_of_a_result(
    task_id: int | None, error: PhotoAnimerError | None, kind: ResultKind
) -> None:
    assert PhotoResult("a.png", task_id, error=error).kind is kind


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidPhotoError("a.png: is text", photo="a.png"), "is text"),
        (FACELESS, "no face was found (code 7001)"),
        (lost_answer(), "the connection was lost"),
    ],
)
def test_a_reason_does_not_name_the_photo_or_task(error: PhotoAnimerError, reason: str) -> None:
    assert PhotoResult("a.png", 7, error=error).reason == reason


def test_a_running_batch_is_counted() -> None:
    results = BatchResults(total=4)
    results.add_result(
        None, PhotoResult("folder", error=InvalidPhotoError("no photo", photo="folder"))
    )
    for index, name in enumerate(["a", "b", "c"]):
        results.add_submit(index, name)
    results.add_task(0, "a", 10)
    results.add_task(1, "b", 11)
    assert (results.submitted, results.processing, results.remaining) == (2, 2, 3)
    results.add_result(0, PhotoResult("a", 10))
    assert (results.submitted, results.processing, results.remaining) == (2, 1, 2)
    assert (results.count(ResultKind.SAVED), results.count(ResultKind.FAILED)) == (1, 1)
    assert results.in_progress == [PhotoInProgress("b", 11, index=1), PhotoInProgress("c")]
