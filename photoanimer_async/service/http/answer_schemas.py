"""Schemas of what the interfaces' answers and notifications contain; see `openapi`."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from photoanimer_async.service.error_codes import TABLE, Place

Schema: TypeAlias = Mapping[str, Any]

TEXT: Final = {"type": "string"}
LINK: Final = {"type": "string", "format": "uri"}
TIME: Final = {"type": "integer", "description": "The service's clock, in epoch milliseconds."}
TASK_ID: Final = {"type": "integer", "minimum": 10**14, "maximum": 10**15 - 1}


def object_schema(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


_NULL: Final = {"type": "null"}
_FAIL_CODES: Final = [code.number for code in TABLE if code.place is not Place.ENVELOPE]
TASKS: Final[Mapping[str, Schema]] = {
    "Processing": object_schema(
        {
            "taskId": TASK_ID,
            "status": {"const": 0, "description": "Processing."},
            "resultUrl": _NULL,
            "gifUrl": _NULL,
        },
        optional=("gifUrl",),
    ),
    "Done": object_schema(
        {
            "taskId": TASK_ID,
            "status": {"const": 1, "description": "Finished."},
            "resultUrl": LINK,
            "gifUrl": LINK,
        },
        optional=("gifUrl",),
    ),
    "Failed": object_schema(
        {
            "taskId": TASK_ID,
            "status": {"const": 2, "description": "Failed."},
            "resultUrl": _NULL,
            "gifUrl": _NULL,
            "failCode": {"type": "integer", "enum": _FAIL_CODES},
            "failReason": TEXT,
        },
        optional=("gifUrl",),
    ),
}
BALANCE: Final = object_schema(
    {
        "monthBalance": {"type": "number"},
        "imageBalance": {"type": "number"},
        "videoBalance": {"type": "number", "description": "Video seconds."},
        "monthStartDate": {"type": "string", "examples": ["2020-01-01 00:00:00"]},
        "monthExpireDate": {"type": "string", "examples": ["2020-02-01 00:00:00"]},
    }
)
ENDED_EVENT: Final = object_schema(
    {
        "eventName": {"const": "EVENT_FACE_DRIVEN_TASK_FINISHED"},
        "eventData": {
            "oneOf": [
                object_schema({"taskId": TASK_ID, "resultUrl": LINK}),
                object_schema(
                    {
                        "taskId": TASK_ID,
                        "resultUrl": _NULL,
                        "status": {"const": 2, "description": "Failed."},
                    }
                ),
            ]
        },
    }
)
