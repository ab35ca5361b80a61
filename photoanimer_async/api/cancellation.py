"""Tell a cancellation of our own task from a `CancelledError` that foreign code raised."""

import asyncio


def is_cancelled() -> bool:
    """Return whether the current task is being cancelled.

    A `CancelledError` in a task that is not comes from the user's code, and is an error.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
