"""Check that a sound file can be used as a voice, before money is spent.

The API page names no sound formats; these are the common ones. A file is judged by its first bytes,
never by its name.
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
"""A file must be smaller than this. The API page has no limit for sounds; this is the photos'."""

_HEAD_BYTES = 12


class VoiceFormat(StrEnum):
    """The sound formats that are detected."""

    WAV = "wav"
    MP3 = "mp3"
    OGG = "ogg"
    FLAC = "flac"
    M4A = "m4a"
    WEBM = "webm"

    @property
    def content_type(self) -> str:
        """The MIME type, such as `audio/wav`."""
        match self:
            case VoiceFormat.MP3:
                return "audio/mpeg"
            case VoiceFormat.M4A:
                return "audio/mp4"
            case _:
                return f"audio/{self.value}"

    @property
    def suffix(self) -> str:
        """The file suffix with its dot, such as `.wav`."""
        return f".{self.value}"


async def check_voice(voice: Path | None) -> VoiceFormat | None:
    """Check that a sound file can be used as a voice; the file is read in a thread.

    Args:
        voice: the file's path; `None` to check nothing.

    Returns:
        The file's format; `None` without a file.

    Raises:
        InvalidRequestError: the file cannot be read, is empty, is not a sound file, or has
            `MAX_VOICE_BYTES` or more.
    """
    return None if voice is None else await asyncio.to_thread(_inspect, voice)


def detect_voice_format(file: Photo) -> VoiceFormat | None:
    """Return a sound file's format; `None` for any other file and for bytes. Blocking."""
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
        raise InvalidRequestError(f"{name}: the voice cannot be read: {why}") from None
    if not size:
        raise InvalidRequestError(f"{name}: the voice is empty")
    if size >= MAX_VOICE_BYTES:
        allowed = MAX_VOICE_BYTES // 2**20
        raise InvalidRequestError(
            f"{name}: the voice has {size / 2**20:.1f} MB; allowed is less than {allowed} MB"
        )
    if kind is None:
        allowed_formats = ", ".join(kind.name for kind in VoiceFormat)
        raise InvalidRequestError(f"{name}: is not a sound file; allowed are {allowed_formats}")
    return kind


def _head(path: Path) -> bytes:
    if not path.is_file():  # opening a pipe would block
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
    # A frame of MPEG layer III begins with eleven set bits; its layer bits are 01.
    is_layer_3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2  # noqa: PLR2004
    return VoiceFormat.MP3 if is_layer_3 else None


_SIGNATURES = (
    (b"ID3", VoiceFormat.MP3),
    (b"OggS", VoiceFormat.OGG),
    (b"fLaC", VoiceFormat.FLAC),
    (b"\x1aE\xdf\xa3", VoiceFormat.WEBM),
)
