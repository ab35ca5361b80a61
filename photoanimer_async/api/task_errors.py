"""Errors that name their task, as all do after payment; and that show no signed URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models import TaskId
from photoanimer_async.redaction import without_queries


def copied(error: PhotoAnimerError, task_id: TaskId | None) -> PhotoAnimerError:
    """Return a copy of an error that names this task, or none, with the same cause."""
    own = copy(error)
    own.task_id, own.__cause__ = task_id, error.__cause__
    return own.with_traceback(error.__traceback__)


def with_task(error: PhotoAnimerError, task_id: TaskId | None) -> PhotoAnimerError:
    """Return an error that names this task, or none: itself, or a copy if it names another one.

    One object may be raised for several tasks, as by a journal's writer or by foreign code.
    """
    if error.task_id is None:
        error.task_id = task_id
        return error
    return error if str(error.task_id) == str(task_id) else copied(error, task_id)


def without_urls(error: PhotoAnimerError) -> PhotoAnimerError:
    """Return an error whose text has no query of a URL: itself, or a copy.

    Foreign code may raise errors of this package with any text.
    """
    args = tuple(without_queries(arg) if isinstance(arg, str) else arg for arg in error.args)
    if args == error.args:
        return error
    shown = copied(error, error.task_id)
    shown.args = args
    return shown


@contextmanager
def naming(task_id: TaskId) -> Iterator[None]:
    """Have every error of this package that the block raises name this task."""
    try:
        yield
    except PhotoAnimerError as error:
        named = with_task(error, task_id)
        if named is error:
            raise
        raise named from error.__cause__
