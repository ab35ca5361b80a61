"""What a voice must be, checked before money is spent.

The API page names no formats of sounds. These are the ones that people have; a file is told
by its first bytes, and its name counts for nothing.
"""

import asyncio
import errno
import os
from enum import StrEnum
from pathlib import Path

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.models import Photo
from photoanimer_async.redaction import shown_photo

MAX_VOICE_BYTES = 15 * 1024 * 1024
"""A file has fewer bytes than this: the limit for photos, as the API page has none for sounds."""

_HEAD_BYTES = 12


class VoiceFormat(StrEnum):
    """The formats of sounds that are told apart."""

    WAV = "wav"
    MP3 = "mp3"
    OGG = "ogg"
    FLAC = "flac"
    M4A = "m4a"
    WEBM = "webm"

    @property
    def content_type(self) -> str:
        """The format as HTTP names it: `audio/wav` and so on."""
        match self:
            case VoiceFormat.MP3:
                return "audio/mpeg"
            case VoiceFormat.M4A:
                return "audio/mp4"
            case _:
                return f"audio/{self.value}"

    @property
    def suffix(self) -> str:
        """The file suffix that goes with it, dot included."""
        return f".{self.value}"


async def check_voice(voice: Path | None) -> VoiceFormat | None:
    """Checks that a sound file can be a voice, as far as can be seen from here.

    Args:
        voice: the file; nothing is checked where there is none.

    Raises:
        InvalidRequestError: it can not be read, is no sound, is empty or too large.
    """
    return None if voice is None else await asyncio.to_thread(_inspect, voice)


def detect_voice_format(file: Photo) -> VoiceFormat | None:
    """The format of a file that is a sound; `None` for whatever else there may be. Blocking."""
    if isinstance(file, bytes):
        return None
    try:
        return _format(_head(Path(file)))
    except (OSError, ValueError):
        return None


def _inspect(voice: Path) -> VoiceFormat:
    name = shown_photo(voice)
    try:
        size = voice.stat().st_size
        kind = _format(_head(voice)) if size else None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have such a name"
        raise InvalidRequestError(f"{name}: the voice can not be read: {why}") from None
    if not size:
        raise InvalidRequestError(f"{name}: the voice is empty")
    if size >= MAX_VOICE_BYTES:
        allowed = MAX_VOICE_BYTES // 2**20
        raise InvalidRequestError(
            f"{name}: the voice has {size / 2**20:.1f} MB; allowed is less than {allowed} MB"
        )
    if kind is None:
        allowed_formats = ", ".join(kind.name for kind in VoiceFormat)
        raise InvalidRequestError(f"{name}: is no sound file; known are {allowed_formats}")
    return kind


def _head(path: Path) -> bytes:
    if not path.is_file():  # a pipe is never opened
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _format(head: bytes) -> VoiceFormat | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return VoiceFormat.WAV
    if head[4:8] == b"ftyp" and head[8:11] in {b"M4A", b"mp4", b"iso", b"3gp"}:
        return VoiceFormat.M4A
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    # An MPEG audio frame of layer III begins with eleven bits that are set, and 01 for the layer.
    is_layer_3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2  # noqa: PLR2004
    return VoiceFormat.MP3 if is_layer_3 else None


_SIGNATURES = (
    (b"ID3", VoiceFormat.MP3),
    (b"OggS", VoiceFormat.OGG),
    (b"fLaC", VoiceFormat.FLAC),
    (b"\x1aE\xdf\xa3", VoiceFormat.WEBM),
)
