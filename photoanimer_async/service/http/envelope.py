"""The JSON of answers and notifications (API page, Response data)."""

import time

from photoanimer_async.service.error_codes import ErrorCode
from photoanimer_async.service.tasks import Task, TaskStatus


def success(data: object) -> dict[str, object]:
    """Return the envelope of a successful answer: `code` 0, `msg` null."""
    return {"code": 0, "data": data, "msg": None, "time": time.time_ns() // 1_000_000}


def failure(code: ErrorCode, message: str) -> dict[str, object]:
    """Return the envelope of an error: `data` null."""
    now = time.time_ns() // 1_000_000
    return {"code": code.number, "data": None, "msg": message, "time": now}


def task_info(task: Task, origin: str) -> dict[str, object]:
    """Return the `data` of getTaskInfo; links start with `origin`."""
    finished = task.status is TaskStatus.FINISHED
    data: dict[str, object] = {
        "taskId": task.task_id,
        "status": task.status,
        "resultUrl": task.mp4_url(origin) if finished else None,
    }
    if task.gif:
        data["gifUrl"] = task.gif_url(origin) if finished else None
    if task.status is TaskStatus.FAILED:
        data["failCode"] = task.fail_code
        data["failReason"] = task.fail_reason
    return data


def ended_event(task: Task) -> dict[str, object]:
    """Return the body of a notification (API page, Interface 2).

    The page describes notifications of finished tasks only. For a failed task, the body has the
    same form, with its `status` and without a link.
    """
    finished = task.status is TaskStatus.FINISHED
    data: dict[str, object] = {
        "taskId": task.task_id,
        "resultUrl": task.mp4_url(task.origin) if finished else None,
    }
    if not finished:
        data["status"] = task.status.value
    return {"eventName": "EVENT_FACE_DRIVEN_TASK_FINISHED", "eventData": data}
