"""What the videos show: landmarks are measured again, on the decoded files.

The plain portraits go through all templates, and their variants through one. The full matrix,
every variant through every template, is left out unless it is asked for; it takes some minutes::

    PHOTOANIMER_ENGINE_FULL=1 python -m pytest tests/engine/test_objective.py
"""

import functools
import itertools
import struct
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import Rendering, animate
from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.expressions import EXPRESSIONS, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture, load_picture
from photoanimer_async.engine.render import photo_seed
from photoanimer_async.engine.shapes import FaceMotion
from photoanimer_async.engine.speech import decode_voice

Curve = NDArray[np.float64]

CLOSED = 0.6
"""An eye is closed where its aspect ratio is under this part of its median."""


@frozen(eq=False)
class Video:
    """A video, what is seen in its decoded frames, and what was asked for.

    Of the frames only the ends are kept: all of all videos would not fit into memory.
    """

    photo: Picture
    file: bytes
    rendering: Rendering
    frames: int
    first: Picture
    last: Picture
    faces: list[list[Face]]
    sharpness: list[float]
    steps: list[float]
    motions: Sequence[FaceMotion]

    def asked(self, name: str) -> Curve:
        return np.array([motion.get(name, 0.0) for motion in self.motions])

    def seen(self, measure: Callable[[Face], float]) -> Curve:
        return np.array([measure(faces[0]) for faces in self.faces])


def decoded(file: Path) -> list[Picture]:
    with av.open(file) as container:
        return [
            frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)
        ]


@pytest.fixture(scope="session")
def video(
    portrait_file: Callable[[str, str], bytes],
    face_finder: FaceFinder,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str, int], Video]:
    @functools.cache
    def make(portrait: str, variant: str, template: int) -> Video:
        photo = portrait_file(portrait, variant)
        file = tmp_path_factory.mktemp("videos") / "video.mp4"
        rendering = animate(photo, template, mp4=file)
        frames = decoded(file)
        faces = [face_finder.find(frame) for frame in frames]
        return Video(
            photo=load_picture(photo)[: rendering.height, : rendering.width],
            file=file.read_bytes(),
            rendering=rendering,
            frames=len(frames),
            first=frames[0],
            last=frames[-1],
            faces=faces,
            sharpness=[sharpness(*seen) for seen in zip(frames, faces, strict=True)],
            steps=[step(*pair) for pair in itertools.pairwise(frames)],
            motions=motion(template, photo_seed(photo)),
        )

    return make


def aspect_ratio(face: Face, upper: Sequence[int], lower: Sequence[int]) -> float:
    """Height of an eye at its middle over its width."""
    points = face.landmarks[:, :2]
    openings = [np.hypot(*(points[upper[at]] - points[lower[at]])) for at in (3, 4, 5)]
    return float(np.mean(openings) / np.hypot(*(points[upper[0]] - points[upper[-1]])))


def left_eye(face: Face) -> float:
    return aspect_ratio(face, lm.EYE_LEFT_UPPER, lm.EYE_LEFT_LOWER)


def right_eye(face: Face) -> float:
    return aspect_ratio(face, lm.EYE_RIGHT_UPPER, lm.EYE_RIGHT_LOWER)


def mouth_opening(face: Face) -> float:
    """Distance of the lips' inner rims, in distances of the eyes."""
    points = face.landmarks[:, :2]
    gap = points[lm.LIP_INNER_BOTTOM] - points[lm.LIP_INNER_TOP]
    return float(np.hypot(*gap)) / face.eye_distance


def yaw(face: Face) -> float:
    """In degrees; positive where the face looks to the picture's right."""
    across = face.landmarks[lm.SIDE_RIGHT] - face.landmarks[lm.SIDE_LEFT]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def runs(on: NDArray[np.bool_]) -> int:
    """How many times it turns on; a flicker of up to three frames is none."""
    times = np.flatnonzero(on)
    return int((np.diff(times, prepend=-10) > 4).sum())


def correlation(one: Curve, other: Curve) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def sharpness(picture: Picture, faces: Sequence[Face]) -> float:
    """Standard deviation of the Laplacian over the face: how much fine detail there is."""
    if not faces:
        return 0.0
    left, top, right, bottom = (round(side) for side in faces[0].box)
    grey = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).std())


def step(before: Picture, after: Picture) -> float:
    """Mean difference of two frames."""
    return float(cv2.absdiff(before, after).mean())


def psnr(one: Picture, other: Picture) -> float:
    error = np.square(one.astype(np.float64) - other.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / error))


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


def cases_of(templates: Collection[int]) -> pytest.MarkDecorator:
    """Runs a test over all cases with one of the templates."""
    chosen = [case for case in CASES if case.values[2] in templates]
    return pytest.mark.parametrize(("portrait", "variant", "template"), chosen)


def reaching(name: str, least: float) -> list[int]:
    """The templates in which a keyframe of a coefficient is at least so far from 0."""
    return [
        expression.template
        for expression in EXPRESSIONS
        if any(abs(value) >= least for _, value in expression.curves.get(name, ()))
    ]


cases = cases_of(TEMPLATES)

Make = Callable[[str, str, int], Video]


@cases
def test_the_file_is_as_long_as_the_template_and_plays_while_it_loads(
    video: Make, portrait: str, variant: str, template: int, tmp_path: Path
) -> None:
    seen = video(portrait, variant, template)
    expected = EXPRESSIONS[template].frames
    assert seen.rendering.frames == seen.frames == expected
    assert seen.rendering.seconds == expected / 24
    assert atoms(seen.file).index("moov") < atoms(seen.file).index("mdat")
    file = tmp_path / "video.mp4"
    file.write_bytes(seen.file)
    with av.open(file) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 24
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(expected, 24)


def atoms(file: bytes) -> list[str]:
    """Names of an MP4 file's outermost parts, in order."""
    names = []
    at = 0
    while at < len(file):
        size, name = struct.unpack_from(">I4s", file, at)
        names.append(name.decode("ascii"))
        at += size
    return names


@cases
def test_a_face_is_found_in_every_frame(
    video: Make, portrait: str, variant: str, template: int
) -> None:
    assert all(video(portrait, variant, template).faces)


@cases
def test_each_eye_blinks_as_often_as_it_is_asked_to(
    video: Make, portrait: str, variant: str, template: int
) -> None:
    seen = video(portrait, variant, template)
    for measure, name in ((left_eye, "eyeBlinkLeft"), (right_eye, "eyeBlinkRight")):
        openness = seen.seen(measure)
        closed = openness < CLOSED * np.median(openness)
        assert runs(closed) == runs(seen.asked(name) > 0.7), name


@cases_of(reaching("jawOpen", 0.3))
def test_the_mouth_opens_as_the_jaw_is_asked_to(
    video: Make, portrait: str, variant: str, template: int
) -> None:
    seen = video(portrait, variant, template)
    jaw = seen.asked("jawOpen")
    assert correlation(seen.seen(mouth_opening), jaw) >= 0.9


@cases_of(reaching("headYaw", 5.0))
def test_the_head_turns_as_it_is_asked_to(
    video: Make, portrait: str, variant: str, template: int
) -> None:
    seen = video(portrait, variant, template)
    asked = seen.asked("headYaw")
    assert correlation(seen.seen(yaw), asked) >= 0.9


@cases
def test_frames_are_as_sharp_as_the_photo(
    video: Make, portrait: str, variant: str, template: int
) -> None:
    seen = video(portrait, variant, template)
    assert np.median(seen.sharpness) >= 0.85 * sharpness(seen.photo, seen.faces[0])


@cases
def test_nothing_jumps(video: Make, portrait: str, variant: str, template: int) -> None:
    steps = video(portrait, variant, template).steps
    assert max(steps) <= 4 * np.mean(steps)


@cases
def test_it_starts_and_ends_at_the_photo_itself(
    video: Make, portrait: str, variant: str, template: int
) -> None:
    seen = video(portrait, variant, template)
    assert psnr(seen.first, seen.photo) >= 34
    assert psnr(seen.last, seen.photo) >= 34


def test_the_same_photo_gives_the_same_video_each_time(
    video: Make, portrait_file: Callable[[str, str], bytes], tmp_path: Path
) -> None:
    again = tmp_path / "again.mp4"
    animate(portrait_file("grace_hopper", "plain"), SHORTEST, mp4=again)
    assert again.read_bytes() == video("grace_hopper", "plain", SHORTEST).file


@pytest.mark.parametrize("portrait", PORTRAITS)
def test_the_mouth_follows_the_voice(
    portrait: str,
    portrait_file: Callable[[str, str], bytes],
    speech_file: Callable[[str], bytes],
    face_finder: FaceFinder,
    tmp_path: Path,
) -> None:
    voice = speech_file("wav")
    file = tmp_path / "video.mp4"
    rendering = animate(portrait_file(portrait, "plain"), 0, mp4=file, voice=voice)
    frames = decoded(file)
    assert rendering.frames == len(frames) == 60  # 2.5 seconds
    openings = np.array([mouth_opening(face_finder.find(frame)[0]) for frame in frames])
    sound = decode_voice(voice, limit_seconds=60).mono
    loudness = np.sqrt(np.square(sound.reshape(60, -1)).mean(axis=1))
    by_lag = {lag: correlation(openings, np.roll(loudness, lag)) for lag in range(-3, 4)}
    assert by_lag[0] >= 0.8
    assert max(by_lag[lag] for lag in (-1, 0, 1)) == max(by_lag.values())
