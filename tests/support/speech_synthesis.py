"""Speech of espeak-ng and flite, with the phonemes and the times that they report."""

import ctypes
import functools
import subprocess
import tempfile
import wave
from ctypes.util import find_library
from itertools import pairwise
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from .missing import leave_out, require_program

RATE = 48_000

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
"""Voices of flite, which were made from recordings."""

_RETRIEVE = 1
_PHONEMES_AS_IPA = 1 | 2
_NO_EXIT = 0x8000
_UTF_8 = 1
_END, _PHONEME = 0, 7


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@frozen
class Phoneme:
    """A phoneme in IPA, with its start and end in seconds."""

    name: str
    start: float
    end: float


@frozen(eq=False)
class Speech:
    """Spoken text: samples at `RATE`, shape (n,), and its phonemes."""

    samples: NDArray[np.float32]
    phonemes: list[Phoneme]


@functools.cache
def _library() -> tuple[ctypes.CDLL, int]:
    """Return the library, and the sample rate of its speech."""
    name = find_library("espeak-ng")
    if name is None:
        leave_out("espeak-ng (apt-get install espeak-ng)")
    library = ctypes.CDLL(name)
    return library, library.espeak_Initialize(_RETRIEVE, 0, None, _PHONEMES_AS_IPA | _NO_EXIT)


def speak(text: str, voice: str) -> Speech:
    """Return text spoken by a voice such as "de" or "en-us+f2", always the same."""
    library, rate = _library()
    blocks: list[NDArray[np.int16]] = []
    starts: list[tuple[str, float]] = []

    def receive(samples: Any, count: int, events: Any) -> int:
        if samples and count:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        at = 0
        while events[at].type != _END:
            event = events[at]
            if event.type == _PHONEME:
                starts.append(
                    (event.id.text.decode("utf-8", "ignore"), event.audio_position / 1000)
                )
            at += 1
        return 0

    callback = _Callback(receive)  # lives until the speech is complete
    library.espeak_SetSynthCallback(callback)
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, voice
    encoded = text.encode() + b"\0"
    library.espeak_Synth(encoded, len(encoded), 0, 0, 0, _UTF_8, None, None)
    library.espeak_Synchronize()
    samples = np.concatenate(blocks).astype(np.float32) / np.float32(32768)
    ends = [start for _, start in starts[1:]] + [len(samples) / rate]
    phonemes = [Phoneme(name, at, end) for (name, at), end in zip(starts, ends, strict=True)]
    return Speech(resampled(samples, rate), phonemes)


def flite(text: str, voice: str) -> Speech:
    """Return text spoken by flite, which reports the end of each phoneme."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        program = require_program("flite")
        command = [program, "-voice", voice, "-psdur", "-t", text, "-o", file.name]
        run = subprocess.run(command, capture_output=True, check=True, text=True)
        with wave.open(file.name) as sound:
            rate, data = sound.getframerate(), sound.readframes(sound.getnframes())
    ends = [printed.rpartition(":") for printed in run.stdout.split()]
    starts = [0.0, *(float(end) for _, _, end in ends)]
    names = [{"pau": "", "y": "j"}.get(name, name) for name, _, _ in ends]
    phonemes = [Phoneme(name, *times) for name, times in zip(names, pairwise(starts), strict=True)]
    samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
    return Speech(resampled(samples, rate), phonemes)


def resampled(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return samples at `RATE`, which is higher than theirs."""
    count = round(len(samples) * RATE / rate)
    spectrum = np.fft.rfft(samples)
    padded = np.zeros(count // 2 + 1, complex)
    padded[: len(spectrum)] = spectrum
    return np.asarray(np.fft.irfft(padded, count) * (count / len(samples)), np.float32)
