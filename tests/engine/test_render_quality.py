"""The quality of rendered videos: landmarks are measured again in the decoded files.

Both portraits are rendered with all templates, and variants of one with the shortest template. The
full matrix, all variants with all templates, takes some minutes and is run on request::

    PHOTOANIMER_ENGINE_FULL=1 python -m pytest tests/engine/test_render_quality.py
"""

import itertools
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import Rendering, RenderSettings, animate
from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.expressions import EXPRESSIONS, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture, load_picture
from photoanimer_async.engine.render import photo_seed
from photoanimer_async.engine.speech import decode_voice

from .conftest import decode_video

Curve = NDArray[np.float64]
PortraitFile = Callable[[str, str], bytes]

CLOSED = 0.6
"""An eye is closed if its aspect ratio is below this part of its median."""

TEMPLATES = range(len(EXPRESSIONS))
PORTRAITS = ("astronaut", "grace_hopper")
VARIANTS = ("small", "large", "rotated", "darkened", "grey", "mirrored")
SHORTEST = 2

CASES = [
    *(pytest.param(p, "plain", t, id=f"{p}-{t}") for p in PORTRAITS for t in TEMPLATES),
    *(pytest.param("grace_hopper", v, SHORTEST, id=f"grace_hopper-{v}") for v in VARIANTS),
    *(
        pytest.param(p, v, t, id=f"{p}-{v}-{t}", marks=pytest.mark.engine_full)
        for p in PORTRAITS
        for v in VARIANTS
        for t in TEMPLATES
        if (p, t) != ("grace_hopper", SHORTEST)
    ),
]


@frozen(eq=False)
class Video:
    """A rendered video, the faces found in its frames, and the motion that was requested."""

    photo: Picture
    template: int
    rendering: Rendering
    frames: Sequence[Picture]
    faces: Sequence[Face]
    motions: Sequence[FaceMotion]

    def requested(self, name: str) -> Curve:
        return np.array([motion.get(name, 0.0) for motion in self.motions])

    def measured(self, measure: Callable[[Face], float]) -> Curve:
        return np.array([measure(face) for face in self.faces])

    def reaches(self, name: str, least: float) -> bool:
        """Return whether a keyframe of a coefficient is at least this far from 0."""
        knots = EXPRESSIONS[self.template].curves.get(name, ())
        return any(abs(value) >= least for _, value in knots)


@pytest.mark.slow
@pytest.mark.parametrize(("portrait", "variant", "template"), CASES)
def test_video(
    *,
    portrait: str,
    variant: str,
    template: int,
    portrait_file: PortraitFile,
    face_finder: FaceFinder,
    tmp_path: Path,
) -> None:
    """One test for each video, since rendering it takes most of the time."""
    photo, file = portrait_file(portrait, variant), tmp_path / "video.mp4"
    rendering = animate(photo, template, mp4=file)
    frames = decode_video(file)
    found = [face_finder.find(frame) for frame in frames]
    assert all(found), "a frame has no face"
    video = Video(
        photo=load_picture(photo)[: rendering.height, : rendering.width],
        template=template,
        rendering=rendering,
        frames=frames,
        faces=[faces[0] for faces in found],
        motions=motion(template, photo_seed(photo)),
    )
    assert_file_is_complete(video, file)
    assert_blinks_as_requested(video)
    assert_jaw_and_yaw_follow_the_motion(video)
    assert_frames_are_sharp(video)
    assert_nothing_jumps(video)
    assert_first_and_last_frame_are_the_photo(video)


def assert_file_is_complete(video: Video, file: Path) -> None:
    expected = EXPRESSIONS[video.template].frames
    assert video.rendering.frames == len(video.frames) == expected
    assert video.rendering.seconds == expected / 24
    atoms = top_level_atoms(file.read_bytes())
    assert atoms.index("moov") < atoms.index("mdat")
    with av.open(file) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 24
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(expected, 24)


def assert_blinks_as_requested(video: Video) -> None:
    for measure, name in ((left_eye, "eyeBlinkLeft"), (right_eye, "eyeBlinkRight")):
        openness = video.measured(measure)
        closed = openness < CLOSED * np.median(openness)
        assert count_runs(closed) == count_runs(video.requested(name) > 0.7), name


def assert_jaw_and_yaw_follow_the_motion(video: Video) -> None:
    if video.reaches("jawOpen", 0.3):
        jaw = video.requested("jawOpen")
        assert correlation(video.measured(mouth_opening), jaw) >= 0.9
    if video.reaches("headYaw", 5.0):
        assert correlation(video.measured(yaw), video.requested("headYaw")) >= 0.9


def assert_frames_are_sharp(video: Video) -> None:
    sharp = [sharpness(*pair) for pair in zip(video.frames, video.faces, strict=True)]
    assert np.median(sharp) >= 0.85 * sharpness(video.photo, video.faces[0])


def assert_nothing_jumps(video: Video) -> None:
    steps = [mean_difference(*pair) for pair in itertools.pairwise(video.frames)]
    assert max(steps) <= 4 * np.mean(steps)


def assert_first_and_last_frame_are_the_photo(video: Video) -> None:
    assert psnr(video.frames[0], video.photo) >= 34
    assert psnr(video.frames[-1], video.photo) >= 34


def test_rendering_is_deterministic(portrait_file: PortraitFile, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.mp4", "other.mp4")]
    settings = RenderSettings(longest_side=256)
    for file in files:
        animate(portrait_file("grace_hopper", "plain"), SHORTEST, mp4=file, settings=settings)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("portrait", PORTRAITS)
def test_the_mouth_follows_the_voice(
    portrait: str,
    portrait_file: PortraitFile,
    speech_file: Callable[[str], bytes],
    face_finder: FaceFinder,
    tmp_path: Path,
) -> None:
    voice = speech_file("wav")
    file = tmp_path / "video.mp4"
    rendering = animate(portrait_file(portrait, "plain"), 0, mp4=file, voice=voice)
    frames = decode_video(file)
    assert rendering.frames == len(frames) == 60  # 2.5 seconds
    openings = np.array([mouth_opening(face_finder.find(frame)[0]) for frame in frames])
    sound = decode_voice(voice, limit_seconds=60).mono
    loudness = np.sqrt(np.square(sound.reshape(60, -1)).mean(axis=1))
    by_lag = {lag: correlation(openings, np.roll(loudness, lag)) for lag in range(-3, 4)}
    assert by_lag[0] >= 0.8
    assert max(by_lag[lag] for lag in (-1, 0, 1)) == max(by_lag.values())


# --- measures ---


def top_level_atoms(file: bytes) -> list[str]:
    """Return the names of an MP4 file's top-level atoms, in order."""
    names = []
    at = 0
    while at < len(file):
        size, name = struct.unpack_from(">I4s", file, at)
        names.append(name.decode("ascii"))
        at += size
    return names


def aspect_ratio(face: Face, upper: Sequence[int], lower: Sequence[int]) -> float:
    """Return the height of an eye at its middle relative to its width."""
    points = face.landmarks[:, :2]
    openings = [np.hypot(*(points[upper[at]] - points[lower[at]])) for at in (3, 4, 5)]
    return float(np.mean(openings) / np.hypot(*(points[upper[0]] - points[upper[-1]])))


def left_eye(face: Face) -> float:
    return aspect_ratio(face, lm.EYE_LEFT_UPPER, lm.EYE_LEFT_LOWER)


def right_eye(face: Face) -> float:
    return aspect_ratio(face, lm.EYE_RIGHT_UPPER, lm.EYE_RIGHT_LOWER)


def mouth_opening(face: Face) -> float:
    """Return the distance between the lips, relative to that of the eyes."""
    points = face.landmarks[:, :2]
    gap = points[lm.LIP_INNER_BOTTOM] - points[lm.LIP_INNER_TOP]
    return float(np.hypot(*gap)) / face.eye_distance


def yaw(face: Face) -> float:
    """Return the yaw in degrees; positive if the face is turned to the picture's right."""
    across = face.landmarks[lm.SIDE_RIGHT] - face.landmarks[lm.SIDE_LEFT]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def count_runs(on: NDArray[np.bool_]) -> int:
    """Count the runs of true values, ignoring gaps of up to three frames."""
    times = np.flatnonzero(on)
    return int((np.diff(times, prepend=-10) > 4).sum())


def correlation(one: Curve, other: Curve) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def sharpness(picture: Picture, face: Face) -> float:
    """Return the standard deviation of the Laplacian over the face: the amount of fine detail."""
    left, top, right, bottom = (round(side) for side in face.box)
    grey = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).std())


def mean_difference(before: Picture, after: Picture) -> float:
    return float(cv2.absdiff(before, after).mean())


def psnr(one: Picture, other: Picture) -> float:
    error = np.square(one.astype(np.float64) - other.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / error))
