"""What a worker process may be told to run in place of the engine, each with a way of its own."""

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


def copy(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Writes down what it was given, and prints as careless libraries do."""
    print("noise on standard output")  # noqa: T201 - must not be taken for a reply
    sys.stdout.flush()
    mp4.write_bytes(b"%d:%s:%s" % (template, photo, voice or b"silent"))
    if gif is not None:
        gif.write_bytes(b"gif")


def queue_up(
    photo: bytes,
    template: int,
    *,
    mp4: Path,
    gif: Path | None,
    voice: bytes | None,
    gate: str,
) -> None:
    """Waits until the gate is open, if the photo asks it to."""
    while b"wait" in photo and not Path(gate).exists():
        time.sleep(0.01)
    copy(photo, template, mp4=mp4, gif=gif, voice=voice)


def kill_starter(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Takes with it whoever started it, as the system does when a machine runs out of memory."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)


def refuse(
    photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None
) -> None:
    """Raises the engine's error that the photo names."""
    kinds: list[type[EngineError]] = [NoFaceError, PictureError, VoiceError, EngineError]
    raise kinds[template](f"reason {template}")


def fault(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Has a mistake."""
    raise ZeroDivisionError("a mistake")


def crash(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Dies of a bad pointer, as decoders do, as often as the photo says; then it is well."""
    count = mp4.with_suffix(".count")
    crashes = int(count.read_text()) if count.exists() else 0
    if crashes < int(photo):
        count.write_text(str(crashes + 1))
        sys.stderr.write("a bad pointer\n")
        sys.stderr.flush()
        ctypes.string_at(0)
    mp4.write_bytes(b"well")


def hang(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Never ends. Holds a lock that only its death gives back."""
    with mp4.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mp4.with_name(f".{mp4.name}.part").write_bytes(b"half a video")
        mp4.with_name("hanging").touch()
        time.sleep(3600)


def hoard(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Takes as many MiB of memory as the photo says."""
    taken = bytearray(int(photo) * 1024 * 1024)
    mp4.write_bytes(taken[:1])


def toil(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Counts without end, with its worker's clock set forward by all that a job may take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft - int(photo), hard))
    while True:
        pass


def pour(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Writes where the file already has as many MiB as the photo says."""
    with mp4.open("wb") as file:
        file.seek(int(photo) * 1024 * 1024)
        file.write(b"more")


def tell(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Writes down what it is held to, and what it has been given by whoever started it."""
    limits = ("RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_CPU")
    told = {
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
        "environment": dict(os.environ),
        "descriptors": [kind for each in range(128) if (kind := _kind(each))],
    }
    mp4.write_text(json.dumps(told))


def _kind(descriptor: int) -> str | None:
    with contextlib.suppress(OSError):
        return stat.filemode(os.fstat(descriptor).st_mode)[0]
    return None
