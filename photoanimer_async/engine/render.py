"""Rendering of a photo to a video.

photo → `load_picture` → `FaceFinder` → `Engine.prepare` → `Portrait.frame` for each motion →
`Mp4Writer`, `GifWriter`.
"""

import contextlib
import math
import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from attrs import field, frozen
from attrs.validators import ge, gt

from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.curves import FRAME_RATE
from photoanimer_async.engine.detection import SEARCHED_SIDE
from photoanimer_async.engine.engine_errors import NoFaceError
from photoanimer_async.engine.engines import WARP, Engine, load_engine
from photoanimer_async.engine.expressions import MAX_LAG, TALKING, expression, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.group_portrait import GroupPortrait
from photoanimer_async.engine.picture import Picture, fit, load_picture
from photoanimer_async.engine.speech import Sound, decode_voice, voice_motion
from photoanimer_async.engine.video import FrameWriter, GifWriter, Mp4Writer

SHORTEST = 0.5
"""Shortest duration of a video in seconds; a shorter voice is followed by silence."""

_PALETTE_SAMPLES = 8


@frozen
class RenderSettings:
    """Settings for all videos of a service or a script.

    Example:
        `RenderSettings(longest_side=720, all_faces=True)`

    Attributes:
        longest_side: Maximum width and height of the MP4, in pixels; at least 64. Smaller photos
            keep their size.
        gif_longest_side: Maximum width and height of the GIF, in pixels; at least 64.
        voice_limit: Maximum duration of a voice, in seconds.
        all_faces: Whether all faces are animated, or only the largest one.
        engine: Name of the engine, see `load_engine`.

    Raises:
        ValueError: A value is out of range.
    """

    longest_side: int = field(default=1280, validator=ge(64))
    gif_longest_side: int = field(default=480, validator=ge(64))
    voice_limit: float = field(default=60.0, validator=gt(0))
    all_faces: bool = False
    engine: str = WARP


@frozen
class Rendering:
    """Properties of a rendered video.

    Attributes:
        frames: Number of frames.
        width: Width of the MP4, in pixels.
        height: Height of the MP4, in pixels.
        seconds: Duration in seconds.
        faces: Number of animated faces.
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
    """Render a photo to a video.

    The same photo, template and voice always give the same frames. Uses one thread to render and
    one to encode. A frame of 512x512 pixels takes about 8 ms of one core.

    Args:
        photo: The content of a PNG, JPEG, BMP or WEBP file.
        template: 0 to 5, see `expressions.EXPRESSIONS`.
        mp4: The MP4 file to write. Files are replaced atomically, once they are complete.
        gif: The GIF file to write, if any.
        voice: The content of a sound file to speak, for template 0 only; the video has its length.
        settings: Sizes and limits.
        engine: Replaces the engine of the settings.

    Raises:
        PictureError: The photo cannot be decoded or is too large.
        NoFaceError: No face was found in the photo.
        VoiceError: The voice cannot be decoded, is empty or too long.
        ValueError: The template or the engine does not exist, or the template takes no voice.
        TypeError: The engine returned an invalid frame.
    """
    expression(template)
    if voice is not None and template != TALKING.template:
        raise ValueError(f"a voice requires template {TALKING.template}, not {template}")
    cv2.setNumThreads(1)
    sound = None if voice is None else decode_voice(voice, settings.voice_limit).padded(SHORTEST)
    loaded = load_picture(photo, max(settings.longest_side, SEARCHED_SIDE))
    picture, faces = _find_faces(loaded, settings)
    seed = photo_seed(photo)
    motions = [_motion(template, sound, seed, person, face) for person, face in enumerate(faces)]
    frame_at = _frames(engine or load_engine(settings.engine), picture, faces, motions)
    frame_count = len(motions[0])
    height, width = picture.shape[:2]

    with contextlib.ExitStack() as stack:
        path = stack.enter_context(_atomic(mp4))
        writer: FrameWriter = stack.enter_context(Mp4Writer(path, width, height, sound))
        writers: list[tuple[FrameWriter, int]] = [(writer, settings.longest_side)]
        if gif is not None:
            path = stack.enter_context(_atomic(gif))
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
    """Return the seed for `motion` and `voice_motion` of a photo file."""
    return zlib.crc32(photo)


def _find_faces(photo: Picture, settings: RenderSettings) -> tuple[Picture, list[Face]]:
    """Return the photo in the video's size, which is even, and the faces to animate.

    Faces are searched for in the photo as it was loaded, in which they are larger.
    """
    finder = FaceFinder()
    faces = finder.find_all(photo) if settings.all_faces else finder.find(photo)[:1]
    if not faces:
        raise NoFaceError("No person's face was found in the photo.")
    small = fit(photo, settings.longest_side)
    across, down = small.shape[1] / photo.shape[1], small.shape[0] / photo.shape[0]
    even = small[: small.shape[0] // 2 * 2, : small.shape[1] // 2 * 2]
    return np.ascontiguousarray(even), [face.scaled(across, down) for face in faces]


def _motion(
    template: int, sound: Sound | None, seed: int, person: int, face: Face
) -> Sequence[FaceMotion]:
    """Return the motion of a person, the largest first: all speak at once, but smile in turn."""
    if sound is not None:
        return voice_motion(sound, seed + person)
    lag = 0.0 if person == 0 else np.random.default_rng([seed, person]).uniform(-MAX_LAG, MAX_LAG)
    return motion(template, seed + person, lag, math.degrees(face.yaw))


def _frames(
    engine: Engine,
    picture: Picture,
    faces: Sequence[Face],
    motions: Sequence[Sequence[FaceMotion]],
) -> Callable[[int], Picture]:
    """Return a function that renders the video's n-th frame."""
    if len(faces) == 1:
        portrait = engine.prepare(picture, faces[0])
        (motion_of_one,) = motions
        return lambda at: _checked(portrait.frame(motion_of_one[at]), picture)
    group = GroupPortrait.prepare(engine, picture, faces)
    return lambda at: _checked(group.frame([of_one[at] for of_one in motions]), picture)


def _checked(frame: Picture, picture: Picture) -> Picture:
    """Return a frame after checking it: engines may be third-party."""
    if frame.shape != picture.shape or frame.dtype != np.uint8:
        raise TypeError(
            f"the engine returned a frame of shape {frame.shape} and type {frame.dtype}; "
            f"expected {picture.shape} and uint8, like the photo"
        )
    return frame


def _spread(count: int, samples: int) -> list[int]:
    """Return evenly spread frame numbers."""
    return sorted(set(np.linspace(0, count - 1, samples).round().astype(int).tolist()))


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path; its file replaces `path` if the block succeeds."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
