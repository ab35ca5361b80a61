"""Voices: sound decoded, and the mouth movement that goes with it.

Theory of operation. Speech opens the mouth in three ways that can be heard without knowing a
word of it:

* **Loudness** opens the jaw, the more so the higher the first formant, which lies high in open
  vowels ("ah") and low in closed ones ("ee", "oo").
* **The second formant** lies high where lips are spread ("ee": a smile) and low where they are
  rounded ("oo": a pucker).
* **Fricatives** ("s", "f") are noise above 3.5 kHz: teeth together, lips apart.

Formants are not tracked; the ratio of the energies in two bands tells as much as a mouth in a
video needs. All is measured a hundred times a second, against how loud and how quiet this very
sound is, and then passed through an *envelope follower* that rises faster (attack) than it
falls (release), as muscles do.
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

from photoanimer_async.engine.curves import (
    FRAME_RATE,
    Blink,
    Curve,
    blinking,
    frame_times,
    neutral_ends,
    sway,
)
from photoanimer_async.engine.engine_errors import VoiceError
from photoanimer_async.engine.liveliness import alive
from photoanimer_async.engine.shapes import FaceMotion

RATE = 48_000
"""Samples in a second of every decoded sound."""

_CODECS = frozenset(
    ["aac", "alac", "amrnb", "amrwb", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus"]
    + ["vorbis", "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8"]
    + [f"pcm_{kind}{end}" for kind in ("s16", "s24", "s32", "f32", "f64") for end in ("le", "be")]
)
"""FFmpeg's names of the decoders that a voice may need."""

_SOUND_FILES_ONLY = {
    # Playlists and the like would make FFmpeg open what the sender names: files, addresses.
    "format_whitelist": "aac,aiff,flac,matroska,webm,mov,mp4,m4a,mp3,ogg,wav",
    "protocol_whitelist": "none",
    # A look at each stream, to see what is in the file, would run any of hundreds of decoders.
    "codec_whitelist": ",".join(sorted(_CODECS)),
}

_RATES = range(1_000, 768_001)
"""Samples in a second of a voice. To convert from other rates can take gigabytes of memory."""

_MEASURES = 100
"""How often in a second the sound is measured."""

_FOLLOWED_LATE = 0.03
"""By how much an envelope follower is late, in seconds."""

_HIGHEST = 8000
"""Highest frequency that is looked at, in Hz."""

_SILENCE = -20.0
"""Power of a window in decibels, of samples from -1 to 1, under which nothing is said."""

_SEED_MARK = 6
"""Keeps a voice's small movement apart from the templates', which are 0 to 5."""


@frozen(eq=False)
class Sound:
    """Decoded sound.

    Attributes:
        samples: Shape (1, n) for mono or (2, n) for stereo, float32, -1 to 1, left first.
        rate: Samples in a second of one channel.
    """

    samples: NDArray[np.float32]
    rate: int = RATE

    @property
    def seconds(self) -> float:
        """Length, in seconds."""
        return float(self.samples.shape[1] / self.rate)

    @property
    def layout(self) -> str:
        """FFmpeg's name for the channels."""
        return "mono" if len(self.samples) == 1 else "stereo"

    @property
    def mono(self) -> NDArray[np.float32]:
        """Mean of the channels, shape (n,)."""
        return np.asarray(self.samples.mean(axis=0), np.float32)


def decode_voice(data: bytes, limit_seconds: float) -> Sound:
    """Decode a voice.

    Args:
        data: A whole sound file: mp3, wav, m4a, ogg, flac, and some more that phones write.
        limit_seconds: The longest voice that is allowed.

    Raises:
        VoiceError: It holds no sound that can be decoded, is empty, or is too long.
    """
    try:
        with av.open(io.BytesIO(data), "r", options=_SOUND_FILES_ONLY) as container:
            if not container.streams.audio:
                raise VoiceError("The voice is a file without sound.")
            blocks = _resampled(container, container.streams.audio[0], limit_seconds)
    except (av.FFmpegError, ValueError) as error:
        raise VoiceError(
            "The voice cannot be decoded as sound; allowed are mp3, wav, m4a, ogg and flac "
            f"({error})."
        ) from error
    if not any(block.size for block in blocks):
        raise VoiceError("The voice is empty.")
    # Files of floating-point samples can hold anything, also what is no number.
    samples = np.nan_to_num(np.concatenate(blocks, axis=1), nan=0.0, posinf=1.0, neginf=-1.0)
    return Sound(samples.clip(-1, 1))


def _resampled(
    container: InputContainer, stream: AudioStream, limit_seconds: float
) -> list[NDArray[np.float32]]:
    """The stream's samples at `RATE`, block by block; mono if it is, otherwise stereo."""
    # There is no context where this build of FFmpeg has no decoder.
    context: AudioCodecContext | None = stream.codec_context
    if context is None or context.name not in _CODECS:
        raise ValueError("its sound is of a kind that is not allowed")
    layout = "mono" if context.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
    blocks: list[NDArray[np.float32]] = []
    seconds = 0.0
    for frame in itertools.chain(container.decode(stream), [None]):
        if frame is not None:
            if frame.sample_rate not in _RATES:
                raise ValueError(f"it has {frame.sample_rate} samples a second")
            seconds += frame.samples / frame.sample_rate
        if seconds > limit_seconds:
            raise VoiceError(f"The voice is longer than the {limit_seconds:g} seconds allowed.")
        blocks += [
            np.asarray(block.to_ndarray(), np.float32) for block in resampler.resample(frame)
        ]
    return blocks


def voice_motion(sound: Sound, seed: int) -> list[FaceMotion]:
    """What the face does while the voice is heard.

    Args:
        sound: The voice.
        seed: A number that stands for the photo, not negative.

    Returns:
        Coefficients of each frame, 24 a second, as many as cover the sound; the first and the
        last are exactly the photo itself.
    """
    times = frame_times(max(2, math.ceil(sound.seconds * FRAME_RATE)))
    rng = np.random.default_rng([_SEED_MARK, seed])
    speech = _Speech.heard_in(sound)
    ends = neutral_ends(times, 2 / FRAME_RATE)
    curves = {name: ends * speech.at(times, curve) for name, curve in speech.mouth().items()}
    for name, curve in _liveliness(speech, times, rng).items():
        curves[name] = curves.get(name, np.zeros_like(times)) + curve
    return alive(curves, blinking(_blinks(times, rng), times), times, rng)


@frozen(eq=False)
class _Speech:
    """What is heard, a hundred times a second; each of shape (n,), 0 to 1.

    Attributes:
        loudness: Against the loudest and the quietest of this sound, in decibels.
        openness: How high the first formant lies.
        spread: How high the second formant lies.
        hiss: How much of the energy is a fricative's.
    """

    loudness: Curve
    openness: Curve
    spread: Curve
    hiss: Curve

    @classmethod
    def heard_in(cls, sound: Sound) -> "_Speech":
        """Measure a sound."""
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
        """Coefficients of the mouth, a hundred times a second."""
        loudness, hiss = self.loudness, self.hiss
        jaw = _followed(loudness**2 * (0.45 + 0.75 * self.openness) * (1 - 0.9 * hiss))
        wide = loudness * np.clip(1.8 * (self.spread - 0.25), 0, 1) * (1 - 0.3 * hiss)
        round_ = loudness * np.clip(1 - 3.2 * self.spread, 0, 1)
        round_ *= np.clip(1 - 1.1 * self.openness, 0, 1)
        bared = _followed(loudness * hiss)
        return {
            "jawOpen": np.clip(0.56 * jaw, 0, 0.5),
            "mouthSmile": 0.28 * _followed(wide, attack=0.04, release=0.10),
            "mouthPucker": 0.70 * _followed(round_, attack=0.04, release=0.10),
            "mouthUpperUp": 0.40 * bared + 0.22 * jaw,
            "mouthLowerDown": 0.60 * bared,
        }

    def emphasis(self) -> Curve:
        """How much weight the voice gives to what it says, slowly, 0 to 1."""
        return _followed(self.loudness, attack=0.12, release=0.45)

    @staticmethod
    def at(times: Curve, measured: Curve) -> Curve:
        """A measured curve in the middle of the frames that begin at these times."""
        middle = times + 0.5 / FRAME_RATE
        return np.interp(middle + _FOLLOWED_LATE, np.arange(len(measured)) / _MEASURES, measured)


def _spectrogram(sound: Sound) -> tuple[Curve, NDArray[np.float32]]:
    """Frequencies in Hz, shape (m,), and power, shape (n, m), a hundred times a second."""
    hop, window = sound.rate // _MEASURES, sound.rate // 40
    padded = np.pad(sound.mono, (window // 2, window))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    taper = np.hanning(window).astype(np.float32)
    size = 1 << (window - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / sound.rate)
    heard = frequencies < _HIGHEST
    power = np.empty((len(windows), int(heard.sum())), np.float32)
    for start in range(0, len(windows), _MEASURES):  # a second at a time, to spare memory
        spectrum = np.fft.rfft(windows[start : start + _MEASURES] * taper, size)
        power[start : start + _MEASURES] = np.abs(spectrum[:, heard]) ** 2
    return np.asarray(frequencies[heard], np.float64), power


def _followed(curve: Curve, attack: float = 0.030, release: float = 0.075) -> Curve:
    """Envelope follower; attack and release are its time constants, in seconds."""
    rise, fall = (1 - math.exp(-1 / (_MEASURES * time)) for time in (attack, release))
    level = 0.0
    followed = np.empty_like(curve)
    for index, target in enumerate(curve.tolist()):
        level += (target - level) * (rise if target > level else fall)
        followed[index] = level
    return followed


def _liveliness(speech: _Speech, times: Curve, rng: np.random.Generator) -> dict[str, Curve]:
    """Head and brows of someone who speaks: they wander, and mark what is stressed."""
    emphasis = speech.at(times, speech.emphasis())
    ends = neutral_ends(times, min(0.5, float(times[-1]) / 3))
    return {
        "headYaw": ends * 4.0 * sway(times, 0.16, rng),
        "headPitch": ends * (1.6 * sway(times, 0.23, rng) + 2.4 * (emphasis - 0.4)),
        "headRoll": ends * 1.8 * sway(times, 0.13, rng),
        "browUp": ends * np.clip(1.1 * (emphasis - 0.45), 0, 0.5),
        "mouthSmile": ends * 0.12,
    }


def _blinks(times: Curve, rng: np.random.Generator) -> list[Blink]:
    """Blinks every two to four and a half seconds, none cut off by the end."""
    blinks = []
    at = rng.uniform(0.7, 1.6)
    while (blink := Blink(at)).end < times[-1]:
        blinks.append(blink)
        at += rng.uniform(2.0, 4.5)
    return blinks
