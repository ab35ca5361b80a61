"""Bodies of notifications (API page, Interface 2)."""

import json

EVENT = "EVENT_FACE_DRIVEN_TASK_FINISHED"
COMMENT = b"//Video address after video processing is completed"
PAGE_EXAMPLE = b"""{
"eventName":"EVENT_FACE_DRIVEN_TASK_FINISHED",
"eventData": {
"taskId":123456,
"resultUrl": "http://xxxxxxxxxxx", //Video address after video processing is completed
}
}"""
"""The example of the API page, which is not JSON."""


def notification(task_id: object, **more: object) -> bytes:
    """Return a notification of a task, with a link that nobody should use."""
    data = {"taskId": task_id, "resultUrl": "http://127.0.0.1:9/evil.mp4", **more}
    return json.dumps({"eventName": EVENT, "eventData": data}).encode()
