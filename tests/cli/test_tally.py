import pytest

from photoanimer_async.cli.tally import Ending, Fate, Ledger, UnderWay
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
    ("task_id", "error", "fate"),
    [
        (7, None, Fate.SAVED),
        (None, InvalidPhotoError("a.png: is text", photo="a.png"), Fate.FAILED),
        (7, FACELESS, Fate.FAILED),
        (None, lost_answer(), Fate.UNCLEAR),
        (7, DownloadError("the disk is full"), Fate.UNCOLLECTED),
        (7, WaitTimeoutError(7, 60), Fate.UNCOLLECTED),
    ],
)
def test_what_an_ending_means(
    task_id: int | None, error: PhotoAnimerError | None, fate: Fate
) -> None:
    assert Ending("a.png", task_id, error=error).fate is fate


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidPhotoError("a.png: is text", photo="a.png"), "is text"),
        (FACELESS, "no face was found (code 7001)"),
        (lost_answer(), "the connection was lost"),
    ],
)
def test_a_reason_does_not_name_the_photo_or_task(error: PhotoAnimerError, reason: str) -> None:
    assert Ending("a.png", 7, error=error).reason == reason


def test_a_batch_is_counted_as_it_goes() -> None:
    ledger = Ledger(total=4)
    ledger.ended(None, Ending("folder", error=InvalidPhotoError("no photo", photo="folder")))
    for index, name in enumerate(["a", "b", "c"]):
        ledger.submitting(index, name)
    ledger.accepted(0, "a", 10)
    ledger.accepted(1, "b", 11)
    assert (ledger.submitted, ledger.processing, ledger.remaining) == (2, 2, 3)
    ledger.ended(0, Ending("a", 10))
    assert (ledger.submitted, ledger.processing, ledger.remaining) == (2, 1, 2)
    assert (ledger.count(Fate.SAVED), ledger.count(Fate.FAILED)) == (1, 1)
    assert ledger.under_way == [UnderWay("b", 11), UnderWay("c")]
