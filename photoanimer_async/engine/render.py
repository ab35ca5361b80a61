"""From a photo to its video: the whole way through the engine.

photo → `load_picture` → `FaceFinder` → `Engine.prepare` → `Portrait.frame` for each moment of the
motion → `Mp4Writer`, `GifWriter`.
"""

import contextlib
import functools
import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from attrs import field, frozen
from attrs.validators import ge, gt

from photoanimer_async.engine.curves import FRAME_RATE
from photoanimer_async.engine.engine_errors import NoFaceError
from photoanimer_async.engine.engines import WARP, load_engine
from photoanimer_async.engine.expressions import TALKING, expression, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.group import GroupPortrait
from photoanimer_async.engine.picture import Picture, fit, load_picture
from photoanimer_async.engine.portrait import Engine
from photoanimer_async.engine.shapes import FaceMotion
from photoanimer_async.engine.speech import Sound, decode_voice, voice_motion
from photoanimer_async.engine.video import FrameWriter, GifWriter, Mp4Writer

_PALETTE_SAMPLES = 8


@frozen
class RenderSettings:
    """What holds for every video of a service or a script.

    Attributes:
        longest_side: Of the MP4, in pixels; smaller photos keep their size.
        gif_longest_side: Of the GIF, in pixels.
        voice_limit: Longest voice that is taken, in seconds.
        all_faces: Whether everyone in the photo is animated, or the largest face alone.
        engine: Name of the engine; see `engines.py`.
    """

    longest_side: int = field(default=1280, validator=ge(64))
    gif_longest_side: int = field(default=480, validator=ge(64))
    voice_limit: float = field(default=60.0, validator=gt(0))
    all_faces: bool = False
    engine: str = WARP


@frozen
class Rendering:
    """What a video came to.

    Attributes:
        frames: How many frames it has.
        width: Of the MP4, in pixels.
        height: Of the MP4, in pixels.
        seconds: How long it plays.
        faces: How many faces move in it.
    """

    frames: int
    width: int
    height: int
    seconds: float
    faces: int


def animate(
    photo: bytes,
    template: int,
    *,
    mp4: Path,
    gif: Path | None = None,
    voice: bytes | None = None,
    settings: RenderSettings = RenderSettings(),
    engine: Engine | None = None,
) -> Rendering:
    """Animate a photo.

    The same photo, template and voice give the same frames every time. Uses one thread for
    computing and one for encoding; takes about 20 ms of a core for each frame of 512x512 pixels.

    Args:
        photo: A whole PNG, JPEG, BMP or WEBP file.
        template: 0 to 5; see `expressions.EXPRESSIONS`.
        mp4: Where the video goes. Files appear whole or not at all; one that is there is replaced.
        gif: Where a GIF of it goes, if one is wanted.
        voice: A whole sound file to speak, for template 0 only; gives the video its length.
        settings: Sizes and limits.
        engine: Taken instead of the one that the settings name.

    Raises:
        PictureError: The photo cannot be read or is too large.
        NoFaceError: Nobody was found in the photo.
        VoiceError: The voice cannot be read, is empty or too long.
        ValueError: There is no such template or engine, or it is one that takes no voice.
    """
    expression(template)
    if voice is not None and template != TALKING.template:
        raise ValueError(f"a voice goes with template {TALKING.template}, not with {template}")
    cv2.setNumThreads(1)
    sound = None if voice is None else decode_voice(voice, settings.voice_limit)
    picture, faces = _faces_to_move(load_picture(photo), settings)
    seed = photo_seed(photo)
    motions = [_motion(template, sound, seed + index) for index in range(len(faces))]
    frame_at = _frames(engine or load_engine(settings.engine), picture, faces, motions)
    frame_count = len(motions[0])
    height, width = picture.shape[:2]

    with contextlib.ExitStack() as stack:
        path = stack.enter_context(_appearing(mp4))
        writer: FrameWriter = stack.enter_context(Mp4Writer(path, width, height, sound))
        writers: list[tuple[FrameWriter, int]] = [(writer, settings.longest_side)]
        if gif is not None:
            path = stack.enter_context(_appearing(gif))
            side = settings.gif_longest_side
            samples = [fit(frame_at(at), side) for at in _spread(frame_count, _PALETTE_SAMPLES)]
            writer = stack.enter_context(GifWriter(path, samples, frame_count))
            writers.append((writer, side))
        for at in range(frame_count):
            frame = frame_at(at)
            for writer, side in writers:
                writer.write(fit(frame, side))
    return Rendering(frame_count, width, height, frame_count / FRAME_RATE, len(faces))


def photo_seed(photo: bytes) -> int:
    """The number that stands for a photo file in `motion` and `voice_motion`."""
    return zlib.crc32(photo)


@functools.cache
def _face_finder() -> FaceFinder:
    """One for the process: loading the models takes longer than using them."""
    return FaceFinder(threads=1)


def _faces_to_move(photo: Picture, settings: RenderSettings) -> tuple[Picture, list[Face]]:
    """The photo in the video's size, which is even, and the faces in it that are to move.

    Faces are looked for in the photo as it came, where they are larger.
    """
    finder = _face_finder()
    faces = finder.find_all(photo) if settings.all_faces else finder.find(photo)[:1]
    if not faces:
        raise NoFaceError("No person's face was found in the photo.")
    small = fit(photo, settings.longest_side)
    across, down = small.shape[1] / photo.shape[1], small.shape[0] / photo.shape[0]
    even = small[: small.shape[0] // 2 * 2, : small.shape[1] // 2 * 2]
    return np.ascontiguousarray(even), [face.scaled(across, down) for face in faces]


def _motion(template: int, sound: Sound | None, seed: int) -> Sequence[FaceMotion]:
    return motion(template, seed) if sound is None else voice_motion(sound, seed)


def _frames(
    engine: Engine,
    picture: Picture,
    faces: Sequence[Face],
    motions: Sequence[Sequence[FaceMotion]],
) -> Callable[[int], Picture]:
    """What gives the video's frame of a number."""
    if len(faces) == 1:
        portrait = engine.prepare(picture, faces[0])
        (motion_of_one,) = motions
        return lambda at: _checked(portrait.frame(motion_of_one[at]), picture)
    group = GroupPortrait.prepared(engine, picture, faces)
    return lambda at: _checked(group.frame([of_one[at] for of_one in motions]), picture)


def _checked(frame: Picture, picture: Picture) -> Picture:
    """The frame, if it is one: an engine may be anybody's."""
    if frame.shape != picture.shape or frame.dtype != np.uint8:
        raise TypeError(
            f"the engine gave a frame of shape {frame.shape} and type {frame.dtype}; "
            f"it must be {picture.shape} and uint8, as the picture is"
        )
    return frame


def _spread(count: int, samples: int) -> list[int]:
    """Numbers of frames spread evenly over all."""
    return sorted(set(np.linspace(0, count - 1, samples).round().astype(int).tolist()))


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what is written there becomes `path` if all went well."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
