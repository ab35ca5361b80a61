"""Voices: decoding of sound, and the motion of a face that speaks it.

`speech_features` reads from the sound what the mouth does: how far it opens, where the lips are
closed, rounded or spread, and where the teeth show. Here, that becomes coefficients. The head nods
with the emphasis of the voice, and the brows rise with it.
"""

import io
import itertools
import math
from collections.abc import Iterator

import av
import numpy as np
from attrs import frozen
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer

from photoanimer_async.engine.arrays import Floats
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
from photoanimer_async.engine.speech_features import (
    FEATURE_RATE,
    SpeechFeatures,
    smooth,
    widen,
)

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

_MAX_DAMAGED = 0.05
"""Part of a voice's packets that may be damaged, and are left out: the last one of a file that was
cut off, or single ones in between."""

_OPPOSITE = 0.1
"""Power of the mean of both channels, relative to that of the louder one, below which they cancel
each other out."""

_PADDING = 0.1
"""How much longer than the limit a voice may be, in seconds: encoders add up to two frames, of AAC
or MP3, to what was recorded."""

_JAW, _PUCKER, _SMILE = 0.52, 0.75, 0.28
"""Largest coefficients of a mouth that speaks."""

_PRESS = 0.5
"""How far lips that are open in the photo close at m, b and p; the rest of a smile stays."""

_BRIDGED = 0.11
"""Half of the longest dip of loudness, in seconds, in which the lips stay apart: for t and k, the
tongue closes the mouth behind them."""

_SEED_PREFIX = 6
"""Makes the idle motion differ from that of the templates 0 to 5."""


@frozen(eq=False)
class Sound:
    """Decoded sound.

    Attributes:
        samples: Shape (1, n) for mono or (2, n) for stereo, float32, -1 to 1, left first.
        rate: Sample rate in Hz.
    """

    samples: Floats
    rate: int = RATE

    @property
    def seconds(self) -> float:
        """Duration, in seconds."""
        return float(self.samples.shape[1] / self.rate)

    def padded(self, seconds: float) -> "Sound":
        """Return the sound, followed by silence if it is shorter than this."""
        missing = max(0, math.ceil(seconds * self.rate) - self.samples.shape[1])
        return Sound(np.pad(self.samples, ((0, 0), (0, missing))), self.rate)

    @property
    def layout(self) -> str:
        """FFmpeg's name of the channel layout."""
        return "mono" if len(self.samples) == 1 else "stereo"

    @property
    def mono(self) -> Floats:
        """The mean of the channels, shape (n,); the louder one if they cancel each other out."""
        mean = np.asarray(self.samples.mean(axis=0), np.float32)
        powers = np.square(self.samples).sum(axis=1)
        cancelled = np.square(mean).sum() < _OPPOSITE * powers.max()
        return self.samples[powers.argmax()] if cancelled else mean


def decode_voice(data: bytes, limit_seconds: float) -> Sound:
    """Decode a voice.

    Args:
        data: The content of a sound file: mp3, wav, m4a, ogg, flac, or other formats of phones.
        limit_seconds: Maximum duration in seconds, without the padding of an encoder.

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
) -> list[Floats]:
    """Return the stream's samples at `RATE` in blocks; mono if it is mono, else stereo."""
    # The context is None if this build of FFmpeg has no decoder.
    context: AudioCodecContext | None = stream.codec_context
    if context is None or context.name not in _CODECS:
        raise ValueError("its codec is not allowed")
    layout = "mono" if context.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
    blocks: list[Floats] = []
    seconds = 0.0
    for frame in itertools.chain(_frames(container, stream), [None]):
        if frame is not None:
            if frame.sample_rate not in _ALLOWED_RATES:
                raise ValueError(f"its sample rate is {frame.sample_rate} Hz")
            seconds += frame.samples / frame.sample_rate
        if seconds > limit_seconds + _PADDING:
            raise VoiceError(
                f"The voice is too long; at most {limit_seconds:g} seconds are allowed."
            )
        blocks += [
            np.asarray(block.to_ndarray(), np.float32) for block in resampler.resample(frame)
        ]
    return blocks


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]:
    """Yield the frames of a stream, without damaged packets.

    Raises:
        ValueError: More than a few are damaged.
    """
    decoded = damaged = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            damaged += 1
            continue
        decoded += 1
        yield from frames
    if damaged > _MAX_DAMAGED * decoded:
        raise ValueError(f"{damaged} of {decoded + damaged} packets are damaged")


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
    features = SpeechFeatures.measure(sound.mono, sound.rate)
    ends = neutral_ends(times, 2 / FRAME_RATE)
    curves = {name: ends * _at(times, curve) for name, curve in mouth_curves(features).items()}
    for name, curve in _head_and_brows(features, times, rng).items():
        curves[name] = curves.get(name, np.zeros_like(times)) + curve
    return with_idle_motion(curves, times, rng)


def mouth_curves(speech: SpeechFeatures) -> dict[str, Curve]:
    """Return coefficients of the mouth, `FEATURE_RATE` times a second."""
    closed = smooth(widen(speech.closed, 0.02), 0.05)
    voiced = speech.amplitude * (1 - 0.9 * speech.hiss)
    opened = voiced * (0.34 + 0.66 * smooth(speech.openness, 0.2))
    jaw = smooth(opened, 0.08) * (1 - closed)
    around = -widen(-widen(opened, _BRIDGED), _BRIDGED)
    parted = smooth(np.clip(6 * (np.minimum(around, 0.17) - opened), 0, 1), 0.06) * (1 - closed)
    spread = np.clip(1.8 * (speech.spread - 0.25), 0, 1) * (1 - speech.rounded)
    teeth = smooth(speech.loudness * speech.hiss, 0.08) * (1 - closed)
    return {
        "jawOpen": _JAW * jaw,
        "mouthClose": _PRESS * closed,
        "mouthSmile": _SMILE * smooth(speech.loudness * spread, 0.12),
        "mouthPucker": _PUCKER * smooth(np.sqrt(speech.loudness) * speech.rounded, 0.12),
        "mouthUpperUp": 0.40 * teeth + 0.22 * jaw + 0.10 * parted,
        "mouthLowerDown": 0.60 * teeth + 0.35 * parted,
    }


def _at(times: Curve, measured: Curve) -> Curve:
    """Interpolate a measured curve at the middle of the frames that begin at these times."""
    middle = times + 0.5 / FRAME_RATE
    return np.interp(middle, np.arange(len(measured)) / FEATURE_RATE, measured, right=0)


def _head_and_brows(
    speech: SpeechFeatures, times: Curve, rng: np.random.Generator
) -> dict[str, Curve]:
    """Return the motion of head and brows while speaking: sway, and nods on emphasis."""
    emphasis = _at(times, smooth(speech.loudness, 0.6))
    ends = neutral_ends(times, min(0.5, float(times[-1]) / 3))
    return {
        "headYaw": ends * 4.0 * sway(times, 0.16, rng),
        "headPitch": ends * (1.6 * sway(times, 0.23, rng) + 2.4 * (emphasis - 0.4)),
        "headRoll": ends * 1.8 * sway(times, 0.13, rng),
        "browUp": ends * np.clip(1.1 * (emphasis - 0.45), 0, 0.5),
        "mouthSmile": ends * 0.12,
    }
