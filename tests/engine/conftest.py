"""Fixtures of the engine's tests: portraits, variants of them, and synthetic voices."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.engines import Portrait
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.picture import Picture, load_picture
from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER
from photoanimer_async.engine.warp_engine import WarpEngine

ENGINE_FULL = "PHOTOANIMER_ENGINE_FULL"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"engine_full: only where {ENGINE_FULL} is set")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests marked `engine_full`, unless the environment variable is set."""
    if os.environ.get(ENGINE_FULL):
        return
    deselected = [item for item in items if "engine_full" in item.keywords]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if "engine_full" not in item.keywords]


def decode_video(path: Path) -> list[Picture]:
    """Return the frames of a video file."""
    with av.open(path) as container:
        return [f.to_ndarray(format="rgb24").astype(np.uint8) for f in container.decode(video=0)]


@pytest.fixture(scope="session")
def face_finder() -> FaceFinder:
    return FaceFinder()


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    return load_picture(ASTRONAUT.read_bytes())


@pytest.fixture(scope="session")
def grace_hopper() -> Picture:
    return load_picture(GRACE_HOPPER.read_bytes())


@pytest.fixture(scope="session")
def astronaut_face(face_finder: FaceFinder, astronaut: Picture) -> Face:
    return face_finder.find(astronaut)[0]


@pytest.fixture(scope="session")
def grace_hopper_face(face_finder: FaceFinder, grace_hopper: Picture) -> Face:
    return face_finder.find(grace_hopper)[0]


@pytest.fixture(scope="session", params=["astronaut", "grace_hopper"])
def name(request: pytest.FixtureRequest) -> str:
    """Each of the portraits in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def picture(request: pytest.FixtureRequest, name: str) -> Picture:
    picture: Picture = request.getfixturevalue(name)
    return picture


@pytest.fixture(scope="session")
def face(request: pytest.FixtureRequest, name: str) -> Face:
    face: Face = request.getfixturevalue(f"{name}_face")
    return face


@pytest.fixture(scope="session")
def portrait(picture: Picture, face: Face) -> Portrait:
    return WarpEngine().prepare(picture, face)


@pytest.fixture(scope="session")
def find_in_frame(face_finder: FaceFinder, portrait: Portrait) -> Callable[[FaceMotion], Face]:
    """Render a motion, and return the face that is found in the frame."""
    return lambda motion: face_finder.find(portrait.frame(motion))[0]


@pytest.fixture(scope="session")
def coordinates(astronaut_face: Face) -> FaceCoordinates:
    return FaceCoordinates.of(astronaut_face.landmarks)


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
    """Return the PNG file of a bundled portrait in one of its variants."""
    portraits = {"astronaut": ASTRONAUT, "grace_hopper": GRACE_HOPPER}

    def make(name: str, variant: str) -> bytes:
        with Image.open(io.BytesIO(portraits[name].read_bytes())) as image:
            return _png(VARIANTS[variant](image.convert("RGB")))

    return make


RATE = 48_000


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """2.5 seconds of synthetic speech, shape (n,): syllables of open and closed vowels.

    A pulse train at 130 Hz through two resonances, with the loudness of a few spoken words.
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
    """Encode samples of shape (n,) or (2, n) at 48 kHz to a sound file."""
    codecs = {
        "wav": ("wav", "pcm_s16le"),
        "mp3": ("mp3", "libmp3lame"),
        "m4a": ("ipod", "aac"),
        "aac": ("adts", "aac"),
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
    """Encode `speech` to a sound file."""
    return lambda extension: sound_file(speech, extension)
