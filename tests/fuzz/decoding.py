"""What the worker processes run: all decoding there is, and now and then the whole engine."""

import zlib
from pathlib import Path
from typing import Any

from photoanimer_async.engine.engine_errors import NoFaceError
from photoanimer_async.engine.face import FaceFinder
from photoanimer_async.engine.picture import load_picture
from photoanimer_async.engine.speech import decode_voice, voice_motion
from photoanimer_async.service.rendering.worker import animate

_WHOLE = 50
"""One in so many goes on to be a video; that takes a hundred times as long as decoding."""

_VOICE_SECONDS = 60.0


def decode(photo: bytes, template: int, *, mp4: Path, voice: bytes | None, **more: Any) -> None:
    """As `engine.animate`; mostly without the video."""
    if zlib.crc32(photo + (voice or b"")) % _WHOLE == 0:
        animate(photo, template, mp4=mp4, voice=voice, **more)
        return
    picture = load_picture(photo)
    if voice is not None:
        voice_motion(decode_voice(voice, _VOICE_SECONDS), seed=1)
    elif not FaceFinder().find(picture):
        raise NoFaceError("No person's face was found in the photo.")
    mp4.write_bytes(b"decoded")
