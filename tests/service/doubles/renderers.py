"""What a worker process may be told to run in place of the engine, each with a way of its own."""

import ctypes
import fcntl
import sys
import time
from pathlib import Path

from photoanimer_async.engine.errors import EngineError, NoFaceError, PictureError, VoiceError


def copy(photo: bytes, template: int, *, mp4: Path, gif: Path | None, voice: bytes | None) -> None:
    """Writes down what it was given, and prints as careless libraries do."""
    print("noise on standard output")  # noqa: T201 - must not be taken for a reply
    sys.stdout.flush()
    mp4.write_bytes(b"%d:%s:%s" % (template, photo, voice or b"silent"))
    if gif is not None:
        gif.write_bytes(b"gif")


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
        mp4.with_name("hanging").touch()
        time.sleep(3600)
