"""The tree of errors, and what their texts contain."""

import pickle
import re

import pytest

import photoanimer_async
from photoanimer_async import (
    AmbiguousSubmitError,
    ApiError,
    BudgetExceededError,
    InvalidPhotoError,
    PhotoAnimerError,
    TaskFailedError,
    TaskInfo,
    TaskStatus,
    TooManyPendingError,
    WaitTimeoutError,
    errors,
)


def drawn_parents() -> dict[str, set[str]]:
    """The parents of each error, as the module's docstring draws them."""
    assert errors.__doc__ is not None
    parents: dict[str, set[str]] = {}
    above = ["PhotoAnimerError"]
    for line in errors.__doc__.splitlines():
        drawn = re.match(r"([ │]*)[├└]── (\w+)(?: \((\w+)\))?", line)
        if drawn is not None:
            depth = len(drawn[1]) // 4
            above[depth:] = [drawn[2]]
            parents[drawn[2]] = {above[depth - 1], drawn[3]} - {None}
    return parents


def defined_errors() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, PhotoAnimerError)
    }


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    defined = defined_errors()
    del defined["PhotoAnimerError"]
    assert drawn_parents() == {
        name: {base.__name__ for base in kind.__bases__} for name, kind in defined.items()
    }


def test_every_error_is_exported() -> None:
    assert set(defined_errors()) <= set(photoanimer_async.__all__)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ApiError(operation="getTaskInfo", code=77, message="a\nb", http_status=200),
            r"getTaskInfo: the service answered with code 77: a\nb",
        ),
        (
            ApiError(
                operation="getTaskInfo", code=None, message="", http_status=404, request_id="ab12"
            ),
            "getTaskInfo: the service answered with HTTP status 404 (request ab12)",
        ),
        (
            TaskFailedError(TaskInfo(5, TaskStatus.FAILED, fail_code=7001, fail_reason="no face")),
            "task 5 failed: no face (code 7001)",
        ),
        (
            TaskFailedError(TaskInfo(5, TaskStatus.FAILED)),
            "task 5 failed: the service gives no reason; often no person was detected",
        ),
        (
            WaitTimeoutError(5, 600),
            ("task 5 had not ended after 600 s; it has been paid for: wait for it again by its id"),
        ),
        (
            BudgetExceededError(limit=10, used=7.13, cost=7.13),
            "7.13 more video seconds would exceed the limit of 10: 7.13 are spent or reserved",
        ),
        (
            BudgetExceededError(limit=38_640, used=38_639.85, cost=3),
            "3 more video seconds would exceed the limit of 38640: 38639.85 are spent or reserved",
        ),
        (
            TooManyPendingError(2),
            "2 animations are pending, and max_pending allows no more: try again later",
        ),
    ],
)
def test_texts_name_what_happened(error: PhotoAnimerError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    "error",
    [
        PhotoAnimerError("a"),
        ApiError(operation="submit", code=4001, message="m", http_status=200, retry_after=3.0),
        InvalidPhotoError("a", photo="b"),
        AmbiguousSubmitError("a", photo="p.jpg", image_url="http://h/", template=1),
        TaskFailedError(TaskInfo(1, TaskStatus.FAILED, fail_reason="no face")),
        WaitTimeoutError(5, 3.0),
        BudgetExceededError(limit=1.0, used=0.5, cost=2.0),
        TooManyPendingError(3),
    ],
)
def test_errors_can_be_pickled(error: PhotoAnimerError) -> None:
    error.task_id = 7
    restored = pickle.loads(pickle.dumps(error))
    assert type(restored) is type(error)
    assert str(restored) == str(error)
    assert vars(restored) == vars(error)


def test_a_task_that_was_paid_for_is_in_the_text() -> None:
    error = PhotoAnimerError("the disk is full")
    error.task_id = 471367831765061
    assert "471367831765061" in str(error)


def test_a_timeout_is_shown_in_round_seconds() -> None:
    assert "after 0.99 s;" in str(WaitTimeoutError(5, 0.994414))
    assert "after 3600 s;" in str(WaitTimeoutError(5, 3600))
