"""HTTP answers of the service as values."""

import json

from photoanimer_async.api.answers import Answer

RECEIVED_AT = 1_700_000_000.0


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    """An answer to an operation `test`; underscores in names of headers become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer("test", status, named, body, received_at=RECEIVED_AT)


def data(value: object) -> Answer:
    """A successful answer with this `data`."""
    return answer(json.dumps({"code": 0, "data": value, "msg": "", "time": 1}).encode())
