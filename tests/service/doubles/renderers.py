"""Functions that a worker process runs in place of the engine, each with one behaviour."""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import stat
import sys
import time
from pathlib import Path

from photoanimer_async.engine.engine_errors import (
    EngineError,
    NoFaceError,
    PictureError,
    VoiceError,
)

MIB = 1024 * 1024


def copy(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Write the arguments to the video, and print as some libraries do."""
    print("noise on standard output")  # noqa: T201 - must not be taken for a reply
    sys.stdout.flush()
    mp4.write_bytes(b"%d:%s:%s" % (template, photo, voice or b"silent"))
    if gif is not None:
        gif.write_bytes(b"gif")


def is_engine_loaded(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Write whether the engine has been imported before the job."""
    mp4.write_bytes(b"%d" % ("photoanimer_async.engine.render" in sys.modules))


def return_seconds(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> float:
    """Return the length of the video that the photo says."""
    mp4.write_bytes(photo)
    return float(photo)


def _compute() -> None:
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass


def compute_and_fail(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Compute for a tenth of a second, and find no face."""
    _compute()
    raise NoFaceError("no face")


def copy_after_gate(
    photo: bytes,
    template: int,
    *,
    mp4: Path,
    gif: Path | None,
    voice: bytes | None,
    gate: str,
) -> None:
    """Copy; a photo that contains "wait" waits until the file `gate` exists."""
    while b"wait" in photo and not Path(gate).exists():
        time.sleep(0.01)
    copy(photo, template, mp4=mp4, gif=gif, voice=voice)


def kill_parent(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Kill the process that started this one, as the kernel does when memory runs out."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)


def raise_engine_error(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Raise an error of the engine, chosen by the template."""
    kinds: list[type[EngineError]] = [NoFaceError, PictureError, VoiceError, EngineError]
    raise kinds[template](f"reason {template}")


def raise_other_error(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Compute for a tenth of a second, and raise an error that is not the engine's."""
    _compute()
    raise ZeroDivisionError("a mistake")


def crash(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Crash with a segmentation fault as often as the photo says, then succeed."""
    count = mp4.with_suffix(".count")
    crashes = int(count.read_text()) if count.exists() else 0
    if crashes < int(photo):
        count.write_text(str(crashes + 1))
        sys.stderr.write("a bad pointer\n")
        sys.stderr.flush()
        ctypes.string_at(0)
    mp4.write_bytes(b"well")


def hang(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Never return, holding a file lock that ends with the process."""
    with mp4.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mp4.with_name(f".{mp4.name}.part").write_bytes(b"half a video")
        mp4.with_name("hanging").touch()
        time.sleep(3600)


def allocate(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Allocate as many MiB of memory as the photo says."""
    allocated = bytearray(int(photo) * MIB)
    mp4.write_bytes(allocated[:1])


def use_processor(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Compute without end, with the limit of processor time lowered by the photo's seconds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft - int(photo), hard))
    while True:
        pass


def write_large_file(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Write at the offset, in MiB, that the photo says."""
    with mp4.open("wb") as file:
        file.seek(int(photo) * MIB)
        file.write(b"more")


def describe_process(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Write this process's limits, environment and open files to the video."""
    limits = ("RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_CPU")
    description = {
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "environment": dict(os.environ),
        "descriptors": [kind for each in range(128) if (kind := _kind(each))],
    }
    mp4.write_text(json.dumps(description))


def _kind(descriptor: int) -> str | None:
    with contextlib.suppress(OSError):
        return stat.filemode(os.fstat(descriptor).st_mode)[0]
    return None
