"""The program of a worker process: read a job, render it, write a reply.

`WorkerProcess` starts it as `python -m photoanimer_async.service.rendering.worker
MODULE:FUNCTION LIMITS [load-engine]`. A job is one line of JSON on standard input, a reply one
line of JSON on standard output. The process decodes untrusted photos, so the service accepts
nothing from it that could run code, as a pickle could.

The engine is imported with the first job, or at once with `load-engine`. When the service ends,
for whatever reason, standard input ends, and the worker exits at once, even in the middle of a
render.
"""

import importlib
import json
import os
import sys
import threading
import time
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
from photoanimer_async.service.rendering.resource_limits import (
    LOAD_ENGINE,
    OUT_OF_MEMORY_STATUS,
    ResourceLimits,
)
from photoanimer_async.service.shortages import is_full_disk, reason_of

_NICENESS = 10  # requests are answered while every core renders
_LONGEST_TRACE = 8_000
_LONGEST_REASON = 1_000
_CODES: dict[type[EngineError], ErrorCode] = {
    NoFaceError: NO_FACE,
    PictureError: IMAGE_UNPROCESSABLE,
    VoiceError: VOICE_UNPROCESSABLE,
}


def animate(photo: bytes, template: int, **job: Any) -> float:
    """Render with the engine, and return the length of the video in seconds.

    `job` has the files and the fields of `engine.RenderSettings`.
    """
    engine = importlib.import_module("photoanimer_async.engine")
    files = {name: job.pop(name) for name in ("mp4", "gif", "voice")}
    rendering = engine.animate(photo, template, **files, settings=engine.RenderSettings(**job))
    return float(rendering.seconds)


def main() -> None:
    """Render jobs until standard input ends."""
    module, _, function = sys.argv[1].partition(":")
    limits = ResourceLimits.from_argument(sys.argv[2])
    limits.impose()
    os.nice(_NICENESS)
    replies = _take_standard_output()
    jobs: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_receive, args=(jobs,), daemon=True).start()
    if LOAD_ENGINE in sys.argv[3:]:
        # If this fails, the process ends; the first job is tried again without it, and says why.
        importlib.import_module("photoanimer_async.engine.render")
        importlib.import_module("photoanimer_async.engine.networks").load_all()
    while True:
        job = json.loads(jobs.get())
        limits.begin_job()
        began = time.process_time()
        try:
            reply = render(job, module, function, files_are_limited=limits.are_stricter_outside())
        except MemoryError:
            # The libraries' state is undefined now, so the process cannot be used again.
            os._exit(OUT_OF_MEMORY_STATUS)
        reply["processor_seconds"] = time.process_time() - began
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _take_standard_output() -> TextIO:
    """Reserve standard output for replies; what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _receive(jobs: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def render(
    job: dict[str, Any], module: str, function: str, *, files_are_limited: bool = False
) -> dict[str, object]:
    """Render one job and return the reply.

    Args:
        job: the job, as `WorkerProcess` sends it.
        module: the module of the function that renders.
        function: the name of that function.
        files_are_limited: whether the service runs under a limit of its own for files.

    Returns:
        `code` 0 after success, with the `seconds` of the video if they are known; otherwise a
        number of the table of errors with its `reason`; or `shortage`, what this machine is short
        of; or `fault`, the traceback of an exception that is not an `EngineError`.

    Raises:
        MemoryError: memory ran out.
    """
    try:
        run: Callable[..., object] = getattr(importlib.import_module(module), function)
        voice = job["voice"]
        seconds = run(
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
    except Exception as error:  # noqa: BLE001 - reported in full; the next photo may be fine
        if is_full_disk(error, files_are_limited=files_are_limited):
            return {"shortage": reason_of(error)}
        return {"fault": traceback.format_exc()[-_LONGEST_TRACE:]}
    return {"code": 0} | ({"seconds": seconds} if isinstance(seconds, float) else {})


if __name__ == "__main__":
    main()
