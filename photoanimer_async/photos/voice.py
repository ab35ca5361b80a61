"""Check that a sound file can be used as a voice, before money is spent.

The API page names no sound formats; these are the common ones. A file is judged by its first bytes,
never by its name.
"""

import asyncio
import errno
import os
from enum import StrEnum
from pathlib import Path

from photoanimer_async.errors import InvalidRequestError, PreparationError
from photoanimer_async.models import Photo
from photoanimer_async.photos.shortage import is_shortage
from photoanimer_async.redaction import shown_photo

MAX_VOICE_BYTES = 15 * 1024 * 1024
"""A file must be smaller than this. The API page has no limit for sounds; this is the photos'."""

_HEAD_BYTES = 1024 * 1024  # some MP3 begin with many zeros


class VoiceFormat(StrEnum):
    """The sound formats that are detected."""

    WAV = "wav"
    MP3 = "mp3"
    OGG = "ogg"
    FLAC = "flac"
    M4A = "m4a"
    WEBM = "webm"
    AAC = "aac"
    AIFF = "aiff"

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
        PreparationError: this machine is short of open files or memory.
    """
    return None if voice is None else await asyncio.to_thread(_inspect, voice)


def detect_voice_format(file: Photo) -> VoiceFormat | None:
    """Return a sound file's format; `None` for any other file and for bytes. Blocking."""
    if isinstance(file, bytes):
        return None
    try:
        return _format(_head(Path(file)))
    except (OSError, ValueError) as error:
        if is_shortage(error):
            raise _unreadable(file, error) from error
        return None


def _inspect(voice: Path) -> VoiceFormat:
    name = shown_photo(voice)
    try:
        size = voice.stat().st_size
        head = _head(voice) if size else b""
    except (OSError, ValueError) as error:
        if is_shortage(error):
            raise _unreadable(voice, error) from error
        why = error.strerror if isinstance(error, OSError) else "no file can have such a name"
        raise InvalidRequestError(f"{name}: the voice cannot be read: {why}") from None
    if not size:
        raise InvalidRequestError(f"{name}: the voice is empty")
    if size >= MAX_VOICE_BYTES:
        allowed = MAX_VOICE_BYTES // 2**20
        raise InvalidRequestError(
            f"{name}: the voice has {size / 2**20:.1f} MB; allowed is less than {allowed} MB"
        )
    kind = _format(head)
    if kind is None:
        raise InvalidRequestError(f"{name}: {_refusal(head)}")
    return kind


def _unreadable(voice: Photo, error: Exception) -> PreparationError:
    return PreparationError(f"{shown_photo(voice)}: the voice cannot be read: {error}")


def _head(path: Path) -> bytes:
    if not path.is_file():  # opening a pipe would block
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _format(head: bytes) -> VoiceFormat | None:
    start = head[:12]
    if start[:4] in {b"RIFF", b"RIFX", b"RF64"} and start[8:] == b"WAVE":
        return VoiceFormat.WAV
    if start[:4] == b"FORM" and start[8:] in {b"AIFF", b"AIFC"}:
        return VoiceFormat.AIFF
    if _is_iso_media(start):
        return VoiceFormat.M4A
    frames = head.lstrip(b"\0")
    for signature, kind in _SIGNATURES:
        if frames.startswith(signature):
            return kind
    return _mpeg_format(frames[:4])


def _is_iso_media(start: bytes) -> bool:
    """Return whether a file is MP4, QuickTime or 3GPP, of whichever brand, and no picture."""
    size = int.from_bytes(start[:4], "big")
    if start[4:8] == b"ftyp":
        return start[8:] not in _PICTURE_BRANDS
    return start[4:8] in _QUICKTIME_ATOMS and size < MAX_VOICE_BYTES


def _mpeg_format(frame: bytes) -> VoiceFormat | None:
    """Return the format of a frame of MPEG audio (ISO/IEC 11172-3, 2.4.2.3) or AAC in ADTS."""
    # Twelve set bits (eleven for MPEG 2.5), the version, the layer, and whether there is a CRC.
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:  # noqa: PLR2004
        return None
    layer = frame[1] >> 1 & 0b11
    if layer == 0:
        is_adts = frame[1] & 0xF0 == 0xF0 and frame[2] >> 2 & 0xF < 13  # noqa: PLR2004 - the rate
        return VoiceFormat.AAC if is_adts else None
    has_rates = frame[2] >> 4 != 0xF and frame[2] >> 2 & 0b11 != 0b11  # noqa: PLR2004
    is_known = layer in {_LAYER_2, _LAYER_3} and frame[1] >> 3 & 0b11 != 0b01
    return VoiceFormat.MP3 if is_known and has_rates else None


def _refusal(head: bytes) -> str:
    """Return why a file that is in no known format cannot be used."""
    allowed = ", ".join(kind.name for kind in VoiceFormat)
    for signature, name in _OTHER_SOUNDS:
        if head.startswith(signature):
            return f"is {name}; convert it to one of {allowed}"
    return f"is not a sound file; allowed are {allowed}"


_LAYER_2, _LAYER_3 = 0b10, 0b01
# The first atom of QuickTime files that are older than `ftyp`.
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"pnot", b"free", b"skip"})
_PICTURE_BRANDS = frozenset(
    {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ", b"jp2 "}
)
_SIGNATURES = (
    (b"ID3", VoiceFormat.MP3),
    (b"OggS", VoiceFormat.OGG),
    (b"fLaC", VoiceFormat.FLAC),
    (b"\x1aE\xdf\xa3", VoiceFormat.WEBM),
)
_OTHER_SOUNDS = (
    (b"#!AMR", "an AMR recording"),
    (b"caff", "a CAF file"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
    (b".snd", "an AU file"),
    (b"riff\x2e\x91\xcf\x11", "a Wave64 file"),
    (b"wvpk", "a WavPack file"),
    (b"MAC ", "a Monkey's Audio file"),
    (b"MPCK", "a Musepack file"),
    (b"DSD ", "a DSD file"),
    (b"MThd", "a MIDI file"),
)
