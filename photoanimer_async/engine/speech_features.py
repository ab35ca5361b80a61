"""What a mouth does, read from the sound of a voice.

Theory of operation. Sound is measured 100 times a second, as the energy of nine bands relative to
the loudest parts of the voice. From there:

* **Loudness** opens the jaw, in proportion to a power of the amplitude, so that it follows
  the voice within a long vowel too.
* **Closed lips** are read by a small network (`lip_closure`).
* **Rounded lips and open vowels** are each a weighted sum of the bands within 80 ms (a *read-out*).
  The weights were fitted to synthetic speech in four languages with known phonemes, by
  `tests/engine/fit_speech_readouts.py`. A voice's own median is subtracted, so that microphone
  and speaker matter less.
* **Spread lips** are a high second formant: the ratio of two bands.
* **Fricatives** ("s", "f") are noise above 3.5 kHz: teeth together, lips apart.

All are smoothed by a symmetric window: the mouth starts and stops softly, and without delay.
"""

import functools
import json
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.curves import Curve
from photoanimer_async.engine.lip_closure import LipClosure, in_context

FEATURE_RATE = 100
"""Measurements per second."""

_MAX_FREQUENCY = 8000
"""Highest frequency that is measured, in Hz."""

_SPEECH = (80, 6000)
"""Lowest and highest frequency of the power of speech, in Hz."""

_SILENCE = -20.0
"""Power of a window, in decibels for samples from -1 to 1, below which it is silence."""

_LOUDEST, _QUIETEST = 95, 8
"""Percentiles of the power that count as loud, and as background."""

_DYNAMIC_RANGE = 38.0
"""Decibels between loud and silent, at most."""

_FLOOR = -60.0
"""Lowest level of a band, in decibels below loud."""

ROUNDED, OPEN = "rounded", "open"


@frozen(eq=False)
class SpeechFeatures:
    """Features of speech, measured 100 times a second; each of shape (n,), 0 to 1.

    Attributes:
        loudness: Loudness in decibels, relative to the loudest and quietest parts of the sound.
        amplitude: Amplitude to the power of 0.6, relative to that of the loud parts; up to 1.2.
        closed: How surely the lips are closed.
        rounded: How far the lips are rounded.
        openness: How open the vowel is.
        spread: How high the second formant is.
        hiss: How much of the energy belongs to fricatives.
    """

    loudness: Curve
    amplitude: Curve
    closed: Curve
    rounded: Curve
    openness: Curve
    spread: Curve
    hiss: Curve

    @classmethod
    def measure(cls, samples: Floats, rate: int) -> "SpeechFeatures":
        """Measure the features of mono sound, shape (n,), at a sample rate in Hz."""
        bands = BandEnergies.measure(samples, rate)
        loudness, decibels = bands.loudness(), bands.relative_decibels()
        read = _readouts().of(bands.levels(_readouts().edges), loudness > 0)
        closure = LipClosure.load()
        closed = _ramp(closure.log_odds(bands.levels(closure.edges.tolist())), *CLOSED_RAMP)
        speech, noise = bands.energy(*_SPEECH), bands.energy(3500, 8000)
        first_formant = bands.energy(500, 1100) / bands.energy(150, 1100)
        spread = bands.energy(1500, 2800) / bands.energy(700, 2800)
        return cls(
            loudness=loudness,
            amplitude=np.clip(3 * loudness, 0, 1) * np.minimum(10 ** (decibels / 32), 1.2),
            closed=closed * (loudness > 0),
            rounded=_ramp(read[ROUNDED], *ROUNDED_RAMP) * np.clip(1.15 - 1.6 * spread, 0, 1),
            openness=(_ramp(read[OPEN], *OPEN_RAMP) + first_formant) / 2,
            spread=spread,
            hiss=np.clip((noise / (speech + noise) - 0.35) / 0.4, 0, 1),
        )


CLOSED_RAMP = (-0.6, 0.8)
"""Log-odds of closed lips at which the feature is 0 and 1."""
ROUNDED_RAMP = (-0.8, 2.2)
OPEN_RAMP = (-2.5, 2.5)
"""Read-outs, relative to the voice's median, at which a feature is 0 and 1."""


def _ramp(value: Curve, low: float, high: float) -> Curve:
    return np.clip((value - low) / (high - low), 0, 1)


@frozen(eq=False)
class BandEnergies:
    """Energy of a sound by frequency, `FEATURE_RATE` times a second.

    Attributes:
        frequencies: In Hz, shape (m,).
        power: Shape (n, m).
    """

    frequencies: Curve
    power: Floats

    @classmethod
    def measure(cls, samples: Floats, rate: int) -> "BandEnergies":
        """Measure mono sound, shape (n,), at a sample rate in Hz."""
        return cls(*_spectrogram(samples, rate))

    def energy(self, low: float, high: float) -> Curve:
        """Return the energy between two frequencies in Hz, shape (n,); never 0."""
        within = (self.frequencies >= low) & (self.frequencies < high)
        return np.asarray(self.power[:, within].sum(axis=1) + 1e-10, np.float64)

    def relative_decibels(self) -> Curve:
        """Return the power of speech in decibels, relative to its loud parts."""
        decibels = 10 * np.log10(self.energy(*_SPEECH))
        return np.asarray(decibels - np.percentile(decibels, _LOUDEST))

    def loudness(self) -> Curve:
        """Return the loudness, 0 to 1, from the background to the loud parts."""
        decibels = 10 * np.log10(self.energy(*_SPEECH))
        loud = float(np.percentile(decibels, _LOUDEST))
        quiet = max(float(np.percentile(decibels, _QUIETEST)), loud - _DYNAMIC_RANGE)
        loudness = np.clip((decibels - quiet - 4) / max(loud - quiet - 4, 8), 0, 1)
        loudness[decibels < _SILENCE] = 0
        return np.asarray(loudness)

    def levels(self, edges: Sequence[float]) -> Array:
        """Return the levels of bands in units of 10 dB, relative to the loud parts, (n, bands)."""
        decibels = 10 * np.log10(self.energy(*_SPEECH))
        bands = np.stack([10 * np.log10(self.energy(*pair)) for pair in pairwise(edges)], axis=1)
        relative = bands - np.percentile(decibels, _LOUDEST)
        return np.asarray(np.maximum(relative, _FLOOR) / 10)


@frozen(eq=False)
class Readouts:
    """Weighted sums of band levels.

    Attributes:
        edges: Edges of the bands, in Hz; shape (k + 1,).
        offsets: Measurements before and after the one that is read.
        weights: Of each read-out, shape (offsets, bands), for levels in units of 10 dB.
    """

    edges: Sequence[float]
    offsets: Sequence[int]
    weights: dict[str, Array]

    def of(self, levels: Array, spoken: NDArray[np.bool_]) -> dict[str, Curve]:
        """Return the value of each read-out, relative to its median in speech.

        Args:
            levels: Shape (n, bands), relative to the loud parts.
            spoken: Where there is speech, shape (n,).
        """
        context = in_context(levels, np.array(self.offsets))
        values = {name: context @ weights.ravel() for name, weights in self.weights.items()}
        if not spoken.any():
            return values
        return {name: value - np.median(value[spoken]) for name, value in values.items()}


@functools.cache
def _readouts() -> Readouts:
    file = files("photoanimer_async.engine") / "weights" / "speech_readouts.json"
    stored = json.loads(file.read_text("utf-8"))
    weights = {name: np.array(rows) for name, rows in stored["weights"].items()}
    return Readouts(stored["edges"], stored["offsets"], weights)


def _spectrogram(samples: Floats, rate: int) -> tuple[Curve, Floats]:
    """Return frequencies in Hz, shape (m,), and power, shape (n, m), 100 times a second."""
    hop, window = rate // FEATURE_RATE, rate // 40
    padded = np.pad(samples, (window // 2, window))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    taper = np.hanning(window).astype(np.float32)
    size = 1 << (window - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    measured = frequencies < _MAX_FREQUENCY
    power = np.empty((len(windows), int(measured.sum())), np.float32)
    for start in range(0, len(windows), FEATURE_RATE):  # one second at a time, to save memory
        spectrum = np.fft.rfft(windows[start : start + FEATURE_RATE] * taper, size)
        power[start : start + FEATURE_RATE] = np.abs(spectrum[:, measured]) ** 2
    return np.asarray(frequencies[measured], np.float64), power


def smooth(curve: Curve, seconds: float) -> Curve:
    """Smooth a curve by a raised cosine of this width, without delay."""
    half = max(1, round(seconds * FEATURE_RATE / 2))
    window = np.hanning(2 * half + 1)[1:-1]
    padded = np.pad(curve, half - 1, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def widen(curve: Curve, seconds: float) -> Curve:
    """Return the maximum of a curve within this time before and after."""
    reach = round(seconds * FEATURE_RATE)
    padded = np.pad(curve, reach, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1))
