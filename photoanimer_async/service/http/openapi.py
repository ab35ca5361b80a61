"""The description of the service in OpenAPI 3.1, served at `/openapi.json`.

It is built from the service's own tables (error codes, prices, the pattern of result names), so
each fact has one place. Schemas name everything that an answer may contain and allow nothing
else. One test compares the paths with the application's routes; another makes requests from the
description and checks the answers against it.
"""

from typing import Any, Final

from photoanimer_async.service.error_codes import CANCELLED, TABLE, ErrorCode, Place
from photoanimer_async.service.http.answer_schemas import (
    BALANCE,
    ENDED_EVENT,
    LINK,
    TASK_ID,
    TASKS,
    TEXT,
    TIME,
    Schema,
    object_schema,
)
from photoanimer_async.service.http.health import HEALTH_PATH, Health
from photoanimer_async.service.http.parameters import VIDEO_SECONDS
from photoanimer_async.service.storing.data_folder import RESULT_NAME

DESCRIPTION_PATH: Final = "/openapi.json"
PAGE_PATH: Final = "/docs"
ROOT_PATH: Final = "/"

_NO_REQUEST: Final = {
    "description": (
        "Not an HTTP request, or one with a URL of more than 32 KiB, or 64 KiB with its headers."
    ),
    "content": {"text/plain": {"schema": TEXT}},
}
_RETRY_AFTER: Final = {
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}
}
_TAGS: Final = {
    "tasks": "Submit photos, poll their tasks, and cancel them.",
    "account": "The account of the key.",
    "results": "Videos and GIFs.",
    "notifications": "What the service posts to the account's address.",
    "service": "The service itself.",
}
_VOICE: Final = (
    "A voice for the mouth to follow; with templateId 0 only. The video lasts, and the task costs, "
    "as long as the voice: this is the local service's own rule, since the vendor documents none. "
    "Until the task has ended, the seconds of the longest voice that is accepted are reserved."
)
_HTTP_OK: Final = 200
_NOT_FOUND: Final = 404
_NO_SUCH_METHOD: Final = 405
_WRONG_HOST: Final = 421
_TOO_MANY: Final = 429
_FAULT: Final = 500
_SHORTAGE: Final = 503


def describe(prefix: str) -> dict[str, Any]:
    """Return the description of a service.

    Args:
        prefix: the beginning of the API page's paths.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Photo Animer, local service",
            "version": "1",
            "summary": "Turns face photos into short videos that come alive.",
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": (
                "Submit a photo by its URL, poll the task until its status is 1 or 2, and download "
                "the result. Errors in a request have HTTP status 200 and a code that is not 0. "
                "Every interface of the API page uses GET; cancelTask, which is this service's "
                "own, uses POST. Other methods get HTTP status 405."
            ),
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "security": [{"apiKey": []}],
        "paths": {
            f"{prefix}/faceDriven/submitTaskByUrl": {"get": _submit()},
            f"{prefix}/faceDriven/getTaskInfo": {"get": _get_task_info()},
            f"{prefix}/faceDriven/cancelTask": {"post": _cancel_task()},
            f"{prefix}/mySubscription": {"get": _my_subscription()},
            "/results/{name}": {"get": _result(), "head": _head_of_result()},
            ROOT_PATH: {"get": _root()},
            DESCRIPTION_PATH: {"get": _open("description", "This description", "application/json")},
            PAGE_PATH: {"get": _open("page", "This description as a page", "text/html")},
            HEALTH_PATH: {"get": _health()},
        },
        "webhooks": {"ended": {"post": _ended()}},
        "components": {
            "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "APIKEY"}},
            "schemas": {
                "Accepted": _success(TASK_ID | {"description": "The task's id."}),
                "Task": _success(
                    {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in TASKS]}
                ),
                **TASKS,
                "Balance": _success(BALANCE),
                **{
                    f"Error{status}": _failure(codes)
                    for status, codes in _envelope_codes().items()
                    if status != _NO_SUCH_METHOD
                },
                "Ended": ENDED_EVENT,
            },
        },
    }


def _submit() -> Schema:
    prices = ", ".join(f"`{number}` {cost:g}" for number, cost in VIDEO_SECONDS.items())
    return {
        "operationId": "submitTaskByUrl",
        "tags": ["tasks"],
        "summary": "Submit a photo",
        "description": "Returns the id of a new task. It costs video seconds: send it once.",
        "parameters": [
            _query("imageUrl", LINK, "The photo: PNG, JPEG, BMP or WEBP.", required=True),
            _query(
                "templateId",
                {"type": "integer", "enum": list(VIDEO_SECONDS)},
                f"The expression. Video seconds: {prices}.",
                required=True,
            ),
            _query("voiceUrl", LINK, _VOICE),
            _query(
                "outputFormat",
                {"type": "string", "enum": ["mp4", "gif"]},
                "`gif` makes a GIF in addition to the video.",
            ),
            _query("isHd", {"type": "boolean"}, "Sent by the vendor's SDK; it has no effect."),
        ],
        "responses": _answers(
            "Accepted",
            "The task's id, or an error.",
            links={
                "getTaskInfo": {
                    "operationId": "getTaskInfo",
                    "parameters": {"taskId": "$response.body#/data"},
                }
            },
        ),
    }


def _get_task_info() -> Schema:
    return {
        "operationId": "getTaskInfo",
        "tags": ["tasks"],
        "summary": "Poll a task",
        "parameters": [_query("taskId", TASK_ID, "The id from submitTaskByUrl.", required=True)],
        "responses": _answers("Task", "The state of the task, or an error."),
    }


def _cancel_task() -> Schema:
    return {
        "operationId": "cancelTask",
        "tags": ["tasks"],
        "summary": "Cancel a task",
        "description": (
            "An interface of this service; the vendor has none. A task that waits or is being "
            f"rendered ends with status 2 and failCode {CANCELLED.number}, and what it was "
            "charged is given back. A task that has ended stays as it is, so the request can be "
            "repeated."
        ),
        "parameters": [_query("taskId", TASK_ID, "The id from submitTaskByUrl.", required=True)],
        "responses": _answers("Task", "The state of the task after the request, or an error."),
    }


def _my_subscription() -> Schema:
    return {
        "operationId": "mySubscription",
        "tags": ["account"],
        "summary": "Get the balance",
        "responses": _answers("Balance", "The balance, or an error."),
    }


def _result() -> Schema:
    content = {
        kind: {"schema": {"type": "string", "contentMediaType": kind}}
        for kind in ("video/mp4", "image/gif")
    }
    return {
        "operationId": "result",
        "tags": ["results"],
        "summary": "Download a result",
        "description": "A video or a GIF, whole or in ranges. It needs no key, only the link.",
        "security": [],
        "parameters": [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": f"^{RESULT_NAME}$"},
                "description": "As in `resultUrl` and `gifUrl`.",
            },
            _header("Range", "For instance `bytes=1000-`."),
            _header("If-Range", "The `ETag` of the file that the range belongs to."),
            _header("If-None-Match", "The `ETag` of the file that the caller has."),
        ],
        "responses": {
            "200": {"description": "The file.", "content": content},
            "206": {"description": "A part of the file.", "content": content},
            "304": {"description": "The caller's file is still current."},
            "416": {"description": "The file has no such range."},
            **_errors(_NOT_FOUND, _FAULT, _SHORTAGE),
        },
    }


def _head_of_result() -> Schema:
    result = _result()
    return {
        **result,
        "operationId": "headOfResult",
        "summary": "Get the headers of a result",
        "description": "Like a download, without the file.",
        "responses": {
            status: {"description": answer["description"]}
            for status, answer in result["responses"].items()
        },
    }


def _open(operation: str, summary: str, kind: str) -> Schema:
    schema = {"type": "object" if kind == "application/json" else "string"}
    return {
        "operationId": operation,
        "tags": ["service"],
        "summary": summary,
        "security": [],
        "responses": {
            "200": {"description": summary, "content": {kind: {"schema": schema}}},
            **_errors(_FAULT),
        },
    }


def _root() -> Schema:
    return {
        "operationId": "root",
        "tags": ["service"],
        "summary": "Go to the page",
        "security": [],
        "responses": {
            "302": {
                "description": "The page is there.",
                "headers": {"Location": {"schema": TEXT, "description": "The page."}},
            },
            **_errors(_FAULT),
        },
    }


def _health() -> Schema:
    def answer(description: str, *states: Health) -> Schema:
        properties = {"status": {"enum": [state.value for state in states]}}
        schema = object_schema(properties if Health.OK in states else properties | {"reason": TEXT})
        return {"description": description, "content": {"application/json": {"schema": schema}}}

    failing = [state for state in Health if state is not Health.OK]
    return {
        "operationId": "health",
        "tags": ["service"],
        "summary": "Check the health of the service",
        "security": [],
        "responses": {
            "200": answer("The service works.", Health.OK),
            "503": answer("The service is stopping, or cannot work.", *failing),
            **_errors(_FAULT),
        },
    }


def _ended() -> Schema:
    return {
        "operationId": "ended",
        "tags": ["notifications"],
        "summary": "A task has ended",
        "description": (
            "Posted to the account's address for notifications, if it has one. It may arrive more "
            "than once, and in any order. It is a hint: poll the task. The headers are those of "
            "Standard Webhooks."
        ),
        "security": [],
        "parameters": [
            _header("webhook-id", "The same for every attempt to deliver the same notification."),
            _header("webhook-timestamp", "The time of sending, in seconds since 1970."),
            _header("webhook-signature", "`v1,` and an HMAC, if the address has a secret."),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ended"}}},
        },
        "responses": {"2XX": {"description": "Received. After any other status it is sent again."}},
    }


# --- parameters and answers ---


def _query(name: str, schema: Schema, description: str, *, required: bool = False) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "schema": schema,
        "description": description,
    }


def _header(name: str, description: str) -> Schema:
    return {"name": name, "in": "header", "schema": TEXT, "description": description}


def _answers(data: str, description: str, *, links: Schema | None = None) -> Schema:
    """Return the answers of an interface that needs a key; `data` is the schema of success."""
    errors = _envelope_codes()
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in (data, f"Error{_HTTP_OK}")]
    ok = {
        "description": description,
        "content": {"application/json": {"schema": {"oneOf": schemas}}},
        "links": links or {},
    }
    elsewhere = {_HTTP_OK, _NOT_FOUND, _NO_SUCH_METHOD, _WRONG_HOST}
    others = (status for status in errors if status not in elsewhere)
    return {str(_HTTP_OK): ok, **_errors(*others)}


def _errors(*statuses: int) -> Schema:
    """Return the error answers with these HTTP statuses, and those that every path has."""
    codes = _envelope_codes()
    return {"400": _NO_REQUEST} | {
        str(status): {
            "description": " ".join(code.meaning for code in codes[status]),
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/Error{status}"}}
            },
            "headers": _RETRY_AFTER if status in {_TOO_MANY, _SHORTAGE} else {},
        }
        for status in (_WRONG_HOST, *statuses)
    }


def _envelope_codes() -> dict[int, list[ErrorCode]]:
    """Return the codes that an envelope can have, by their HTTP status."""
    found: dict[int, list[ErrorCode]] = {}
    for code in TABLE:
        if code.place is not Place.TASK:
            found.setdefault(code.http_status, []).append(code)
    return found


# --- schemas of answers ---


def _success(data: Schema) -> Schema:
    return object_schema(
        {"code": {"const": 0}, "data": data, "msg": {"type": "null"}, "time": TIME}
    )


def _failure(codes: list[ErrorCode]) -> Schema:
    meanings = "\n".join(f"* {code.number}: {code.meaning}" for code in codes)
    numbers = {"type": "integer", "enum": [code.number for code in codes], "description": meanings}
    return object_schema({"code": numbers, "data": {"type": "null"}, "msg": TEXT, "time": TIME})
