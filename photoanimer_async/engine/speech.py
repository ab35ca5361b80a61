"""Voices: decoding of sound, and the mouth motion for it.

Theory of operation. Three features of speech, in any language, determine the shape of the mouth:

* **Loudness** opens the jaw, more so if the first formant is high: it is high in open vowels
  ("ah") and low in closed ones ("ee", "oo").
* **The second formant** is high if the lips are spread ("ee": a smile) and low if they are rounded
  ("oo": a pucker).
* **Fricatives** ("s", "f") are noise above 3.5 kHz: teeth together, lips apart.

Formants are not tracked; the energy ratio of two bands is sufficient for a mouth in a video.
Features are measured 100 times a second, relative to the loudest and quietest parts of the sound,
and smoothed by an *envelope follower* that rises faster (attack) than it falls (release), like
muscles.
"""

import io
import itertools
import math

import av
import numpy as np
from attrs import frozen
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.curves import (
    FRAME_RATE,
    Curve,
    frame_times,
    neutral_ends,
    sway,
)
from photoanimer_async.engine.engine_errors import VoiceError
from photoanimer_async.engine.idle_motion import with_idle_motion

RATE = 48_000
"""Sample rate of every decoded sound, in Hz."""

_CODECS = frozenset(
    ["aac", "alac", "amrnb", "amrwb", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus"]
    + ["vorbis", "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8"]
    + [f"pcm_{kind}{end}" for kind in ("s16", "s24", "s32", "f32", "f64") for end in ("le", "be")]
)
"""FFmpeg's names of the allowed decoders."""

_DECODER_OPTIONS = {
    # Playlists would make FFmpeg open files and URLs that the sender chooses.
    "format_whitelist": "aac,aiff,flac,matroska,webm,mov,mp4,m4a,mp3,ogg,wav",
    "protocol_whitelist": "none",
    # Probing the streams would otherwise run any of hundreds of decoders.
    "codec_whitelist": ",".join(sorted(_CODECS)),
}

_ALLOWED_RATES = range(1_000, 768_001)
"""Allowed sample rates of a voice, in Hz. Resampling others can take gigabytes of memory."""

_FEATURE_RATE = 100
"""Measurements per second."""

_FOLLOWER_DELAY = 0.03
"""Delay of the envelope follower, in seconds."""

_MAX_FREQUENCY = 8000
"""Highest frequency that is measured, in Hz."""

_SILENCE = -20.0
"""Power of a window, in decibels for samples from -1 to 1, below which it is silence."""

_SEED_PREFIX = 6
"""Makes the idle motion differ from that of the templates 0 to 5."""


@frozen(eq=False)
class Sound:
    """Decoded sound.

    Attributes:
        samples: Shape (1, n) for mono or (2, n) for stereo, float32, -1 to 1, left first.
        rate: Sample rate in Hz.
    """

    samples: NDArray[np.float32]
    rate: int = RATE

    @property
    def seconds(self) -> float:
        """Duration, in seconds."""
        return float(self.samples.shape[1] / self.rate)

    @property
    def layout(self) -> str:
        """FFmpeg's name of the channel layout."""
        return "mono" if len(self.samples) == 1 else "stereo"

    @property
    def mono(self) -> NDArray[np.float32]:
        """The mean of the channels, shape (n,)."""
        return np.asarray(self.samples.mean(axis=0), np.float32)


def decode_voice(data: bytes, limit_seconds: float) -> Sound:
    """Decode a voice.

    Args:
        data: The content of a sound file: mp3, wav, m4a, ogg, flac, or other formats of phones.
        limit_seconds: Maximum duration in seconds.

    Raises:
        VoiceError: It cannot be decoded, is empty, or is too long.
    """
    try:
        with av.open(io.BytesIO(data), "r", options=_DECODER_OPTIONS) as container:
            if not container.streams.audio:
                raise VoiceError("The voice file has no sound in it.")
            blocks = _resampled(container, container.streams.audio[0], limit_seconds)
    except (av.FFmpegError, ValueError) as error:
        raise VoiceError(
            "The voice cannot be decoded as sound; allowed are mp3, wav, m4a, ogg and flac "
            f"({error})."
        ) from error
    if not any(block.size for block in blocks):
        raise VoiceError("The voice is empty.")
    # Floating-point files can contain any value, including NaN.
    samples = np.nan_to_num(np.concatenate(blocks, axis=1), nan=0.0, posinf=1.0, neginf=-1.0)
    return Sound(samples.clip(-1, 1))


def _resampled(
    container: InputContainer, stream: AudioStream, limit_seconds: float
) -> list[NDArray[np.float32]]:
    """Return the stream's samples at `RATE` in blocks; mono if it is mono, else stereo."""
    # The context is None if this build of FFmpeg has no decoder.
    context: AudioCodecContext | None = stream.codec_context
    if context is None or context.name not in _CODECS:
        raise ValueError("its codec is not allowed")
    layout = "mono" if context.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
    blocks: list[NDArray[np.float32]] = []
    seconds = 0.0
    for frame in itertools.chain(container.decode(stream), [None]):
        if frame is not None:
            if frame.sample_rate not in _ALLOWED_RATES:
                raise ValueError(f"its sample rate is {frame.sample_rate} Hz")
            seconds += frame.samples / frame.sample_rate
        if seconds > limit_seconds:
            raise VoiceError(
                f"The voice is too long; at most {limit_seconds:g} seconds are allowed."
            )
        blocks += [
            np.asarray(block.to_ndarray(), np.float32) for block in resampler.resample(frame)
        ]
    return blocks


def voice_motion(sound: Sound, seed: int) -> list[FaceMotion]:
    """Return the motion of a face that speaks with a voice.

    Args:
        sound: The voice.
        seed: The seed of the idle motion, derived from the photo; not negative.

    Returns:
        Coefficients of each frame, at 24 per second, for the duration of the sound. Those of the
        first and the last frame are 0.
    """
    times = frame_times(max(2, math.ceil(sound.seconds * FRAME_RATE)))
    rng = np.random.default_rng([_SEED_PREFIX, seed])
    speech = _SpeechFeatures.measure(sound)
    ends = neutral_ends(times, 2 / FRAME_RATE)
    curves = {name: ends * speech.at(times, curve) for name, curve in speech.mouth().items()}
    for name, curve in _head_and_brows(speech, times, rng).items():
        curves[name] = curves.get(name, np.zeros_like(times)) + curve
    return with_idle_motion(curves, times, rng)


@frozen(eq=False)
class _SpeechFeatures:
    """Features of speech, measured 100 times a second; each of shape (n,), 0 to 1.

    Attributes:
        loudness: Loudness in decibels, relative to the loudest and quietest parts of the sound.
        openness: How high the first formant is.
        spread: How high the second formant is.
        hiss: How much of the energy belongs to fricatives.
    """

    loudness: Curve
    openness: Curve
    spread: Curve
    hiss: Curve

    @classmethod
    def measure(cls, sound: Sound) -> "_SpeechFeatures":
        """Measure the features of a sound."""
        frequencies, power = _spectrogram(sound)

        def band(low: float, high: float) -> Curve:
            within = (frequencies >= low) & (frequencies < high)
            return np.asarray(power[:, within].sum(axis=1) + 1e-10, np.float64)

        speech, noise = band(80, 6000), band(3500, 8000)
        decibels = 10 * np.log10(speech)
        loud = np.percentile(decibels, 95)
        quiet = max(np.percentile(decibels, 8), loud - 38)
        loudness = np.clip((decibels - quiet - 4) / max(loud - quiet - 4, 8), 0, 1)
        loudness[decibels < _SILENCE] = 0
        return cls(
            loudness=np.asarray(loudness),
            openness=band(500, 1100) / band(150, 1100),
            spread=band(1500, 2800) / band(700, 2800),
            hiss=np.clip((noise / (speech + noise) - 0.35) / 0.4, 0, 1),
        )

    def mouth(self) -> dict[str, Curve]:
        """Return coefficients of the mouth, 100 times a second."""
        loudness, hiss = self.loudness, self.hiss
        jaw = _follow_envelope(loudness**2 * (0.45 + 0.75 * self.openness) * (1 - 0.9 * hiss))
        wide = loudness * np.clip(1.8 * (self.spread - 0.25), 0, 1) * (1 - 0.3 * hiss)
        round_ = loudness * np.clip(1 - 3.2 * self.spread, 0, 1)
        round_ *= np.clip(1 - 1.1 * self.openness, 0, 1)
        teeth = _follow_envelope(loudness * hiss)
        return {
            "jawOpen": np.clip(0.56 * jaw, 0, 0.5),
            "mouthSmile": 0.28 * _follow_envelope(wide, attack=0.04, release=0.10),
            "mouthPucker": 0.70 * _follow_envelope(round_, attack=0.04, release=0.10),
            "mouthUpperUp": 0.40 * teeth + 0.22 * jaw,
            "mouthLowerDown": 0.60 * teeth,
        }

    def emphasis(self) -> Curve:
        """Return the slowly varying emphasis of the voice, 0 to 1."""
        return _follow_envelope(self.loudness, attack=0.12, release=0.45)

    @staticmethod
    def at(times: Curve, measured: Curve) -> Curve:
        """Interpolate a measured curve at the middle of the frames that begin at these times."""
        middle = times + 0.5 / FRAME_RATE
        return np.interp(
            middle + _FOLLOWER_DELAY, np.arange(len(measured)) / _FEATURE_RATE, measured
        )


def _spectrogram(sound: Sound) -> tuple[Curve, NDArray[np.float32]]:
    """Return frequencies in Hz, shape (m,), and power, shape (n, m), 100 times a second."""
    hop, window = sound.rate // _FEATURE_RATE, sound.rate // 40
    padded = np.pad(sound.mono, (window // 2, window))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    taper = np.hanning(window).astype(np.float32)
    size = 1 << (window - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / sound.rate)
    measured = frequencies < _MAX_FREQUENCY
    power = np.empty((len(windows), int(measured.sum())), np.float32)
    for start in range(0, len(windows), _FEATURE_RATE):  # one second at a time, to save memory
        spectrum = np.fft.rfft(windows[start : start + _FEATURE_RATE] * taper, size)
        power[start : start + _FEATURE_RATE] = np.abs(spectrum[:, measured]) ** 2
    return np.asarray(frequencies[measured], np.float64), power


def _follow_envelope(curve: Curve, attack: float = 0.030, release: float = 0.075) -> Curve:
    """Apply an envelope follower; attack and release are time constants in seconds."""
    rise, fall = (1 - math.exp(-1 / (_FEATURE_RATE * time)) for time in (attack, release))
    level = 0.0
    followed = np.empty_like(curve)
    for index, target in enumerate(curve.tolist()):
        level += (target - level) * (rise if target > level else fall)
        followed[index] = level
    return followed


def _head_and_brows(
    speech: _SpeechFeatures, times: Curve, rng: np.random.Generator
) -> dict[str, Curve]:
    """Return the motion of head and brows while speaking: sway, and nods on emphasis."""
    emphasis = speech.at(times, speech.emphasis())
    ends = neutral_ends(times, min(0.5, float(times[-1]) / 3))
    return {
        "headYaw": ends * 4.0 * sway(times, 0.16, rng),
        "headPitch": ends * (1.6 * sway(times, 0.23, rng) + 2.4 * (emphasis - 0.4)),
        "headRoll": ends * 1.8 * sway(times, 0.13, rng),
        "browUp": ends * np.clip(1.1 * (emphasis - 0.45), 0, 0.5),
        "mouthSmile": ends * 0.12,
    }
