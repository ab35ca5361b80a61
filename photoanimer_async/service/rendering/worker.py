"""A worker process: reads jobs from its standard input, renders, writes replies.

Started by `workers.ProcessRenderer` as `python -m photoanimer_async.service.rendering.worker
MODULE:FUNCTION LIMITS`. A job is one line of JSON, and so is its reply: photos from anywhere
are decoded here, so nothing that comes back is trusted to be more than text (a pickle would
be), and the process is held to limits; see `containment`.

The engine is loaded with the first job. When the service goes away, however it does, the
standard input ends, and the worker leaves at once, also from the middle of a render.
"""

import importlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from photoanimer_async.engine.engine_errors import (
    EngineError,
    NoFaceError,
    PictureError,
    VoiceError,
)
from photoanimer_async.service.error_codes import (
    IMAGE_UNPROCESSABLE,
    NO_FACE,
    RENDERING_FAILED,
    VOICE_UNPROCESSABLE,
    ErrorCode,
)
from photoanimer_async.service.rendering.resource_limits import OUT_OF_MEMORY_STATUS, Limits

_LONGEST_TRACE = 8_000
_LONGEST_REASON = 1_000
_CODES: dict[type[EngineError], ErrorCode] = {
    NoFaceError: NO_FACE,
    PictureError: IMAGE_UNPROCESSABLE,
    VoiceError: VOICE_UNPROCESSABLE,
}


def animate(photo: bytes, template: int, **job: Any) -> None:
    """Render by the engine. What of the job is not a file is one of `engine.RenderSettings`."""
    engine = importlib.import_module("photoanimer_async.engine")
    files = {name: job.pop(name) for name in ("mp4", "gif", "voice")}
    engine.animate(photo, template, **files, settings=engine.RenderSettings(**job))


def main() -> None:
    """Render jobs until the standard input ends."""
    module, _, function = sys.argv[1].partition(":")
    limits = Limits.from_argument(sys.argv[2])
    limits.impose()
    replies = _take_standard_output()
    jobs: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_receive, args=(jobs,), daemon=True).start()
    while True:
        job = json.loads(jobs.get())
        limits.begin_job()
        try:
            reply = render(job, module, function)
        except MemoryError:
            # What libraries leave behind then is nothing to go on with.
            os._exit(OUT_OF_MEMORY_STATUS)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _take_standard_output() -> TextIO:
    """Keep standard output for replies; what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _receive(jobs: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def render(job: dict[str, Any], module: str, function: str) -> dict[str, object]:
    """Render one job; what comes back is the reply.

    `code` is 0 where all went well, or one of the table of errors with its `reason`; `fault`
    holds the trace of anything that the engine does not raise on purpose.

    Raises:
        MemoryError: there is no more.
    """
    try:
        run: Callable[..., object] = getattr(importlib.import_module(module), function)
        voice = job["voice"]
        run(
            Path(job["photo"]).read_bytes(),
            job["template"],
            mp4=Path(job["mp4"]),
            gif=None if job["gif"] is None else Path(job["gif"]),
            voice=None if voice is None else Path(voice).read_bytes(),
            **job["options"],
        )
    except EngineError as error:
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
        return {"code": (code or RENDERING_FAILED).number, "reason": str(error)[:_LONGEST_REASON]}
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - reported in full; the next photo may be fine
        return {"fault": traceback.format_exc()[-_LONGEST_TRACE:]}
    return {"code": 0}


if __name__ == "__main__":
    main()
