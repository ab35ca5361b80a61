"""What the engine's tests share: portraits, variants of them, and test sounds made on the spot."""

import io
import os
from collections.abc import Callable

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from photoanimer_async.engine.face import FaceFinder
from photoanimer_async.engine.picture import Picture, load_picture
from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER

ENGINE_FULL = "PHOTOANIMER_ENGINE_FULL"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"engine_full: only where {ENGINE_FULL} is set")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `engine_full`, unless the environment asks for it."""
    if os.environ.get(ENGINE_FULL):
        return
    left_out = [item for item in items if "engine_full" in item.keywords]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if "engine_full" not in item.keywords]


@pytest.fixture(scope="session")
def face_finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    return load_picture(ASTRONAUT.read_bytes())


@pytest.fixture(scope="session")
def grace_hopper() -> Picture:
    return load_picture(GRACE_HOPPER.read_bytes())


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _darkened(image: Image.Image) -> Image.Image:
    return image.point(lambda value: int(value * 0.45))


VARIANTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "plain": lambda image: image,
    "small": lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4)),
    "large": lambda image: image.resize(
        (image.width * 2, image.height * 2), Image.Resampling.BICUBIC
    ),
    "rotated": lambda image: image.rotate(12, Image.Resampling.BICUBIC, fillcolor="grey"),
    "darkened": _darkened,
    "grey": lambda image: image.convert("L"),
    "mirrored": ImageOps.mirror,
}


@pytest.fixture(scope="session")
def portrait_file() -> Callable[[str, str], bytes]:
    """The PNG file of a bundled portrait in one of its variants."""
    portraits = {"astronaut": ASTRONAUT, "grace_hopper": GRACE_HOPPER}

    def make(name: str, variant: str) -> bytes:
        with Image.open(io.BytesIO(portraits[name].read_bytes())) as image:
            return _png(VARIANTS[variant](image.convert("RGB")))

    return make


RATE = 48_000


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """Two and a half seconds of babble, shape (n,): syllables of open and closed vowels.

    A pulse train at 130 Hz through two resonances, its loudness that of a few spoken words.
    """
    seconds = np.arange(int(2.5 * RATE)) / RATE
    syllables = [
        (0.20, 0.20, 750, 1200),
        (0.50, 0.16, 350, 2200),
        (0.75, 0.22, 700, 1100),
        (1.30, 0.18, 400, 800),
        (1.60, 0.24, 800, 1300),
        (1.98, 0.20, 500, 1800),
    ]
    sound = np.zeros_like(seconds)
    for start, length, first, second in syllables:
        within = np.clip((seconds - start) / length, 0, 1)
        loudness = np.sin(np.pi * within) ** 2
        for harmonic in range(1, 25):
            hertz = 130 * harmonic
            gain = sum(1 / (1 + ((hertz - peak) / 120) ** 2) for peak in (first, second))
            sound += loudness * gain * np.sin(2 * np.pi * hertz * seconds)
    return np.asarray(0.5 * sound / np.abs(sound).max(), np.float32)


@pytest.fixture(scope="session")
def sound_file() -> Callable[[NDArray[np.float32], str], bytes]:
    """A sound file of a format, of samples of shape (n,) or (2, n) at 48 kHz."""
    codecs = {
        "wav": ("wav", "pcm_s16le"),
        "mp3": ("mp3", "libmp3lame"),
        "m4a": ("ipod", "aac"),
        "ogg": ("ogg", "libopus"),
        "flac": ("flac", "flac"),
    }

    def make(samples: NDArray[np.float32], extension: str) -> bytes:
        container_format, codec = codecs[extension]
        channels = np.atleast_2d(samples)
        layout = "mono" if len(channels) == 1 else "stereo"
        file = io.BytesIO()
        with av.open(file, "w", format=container_format) as container:
            stream = container.add_stream(codec, rate=RATE, layout=layout)
            assert isinstance(stream, av.AudioStream)
            context = stream.codec_context
            context.open()
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(channels), format="fltp", layout=layout
            )
            frame.sample_rate = RATE
            resampler = av.AudioResampler(
                format=context.format,
                layout=layout,
                rate=RATE,
                frame_size=context.frame_size or None,
            )
            for block in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(block))
            container.mux(stream.encode())
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def speech_file(
    speech: NDArray[np.float32], sound_file: Callable[[NDArray[np.float32], str], bytes]
) -> Callable[[str], bytes]:
    """The babble of `speech` as a sound file of a format."""
    return lambda extension: sound_file(speech, extension)
