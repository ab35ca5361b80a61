"""Frames of the warp engine."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoanimer_async.engine.blendshape_fields import Lip
from photoanimer_async.engine.blendshapes import NAMES, Blendshapes, FaceMotion, skin_coefficients
from photoanimer_async.engine.engines import Portrait
from photoanimer_async.engine.expressions import EXPRESSIONS, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.head_motion import HeadMotion
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.skin import Skin
from photoanimer_async.engine.warp import Field
from photoanimer_async.engine.warp_engine import WarpEngine

EVERYTHING = {
    "jawOpen": 0.3,
    "mouthSmileLeft": 0.5,
    "browUpRight": 0.4,
    "eyeBlinkLeft": 0.7,
    "gazeX": 0.2,
    "headYaw": 5.0,
    "headRoll": 2.0,
}


@pytest.fixture(scope="module")
def portrait(astronaut_face: Face, astronaut: Picture) -> Portrait:
    return WarpEngine().prepare(astronaut, astronaut_face)


@pytest.mark.parametrize("still", [{}, dict.fromkeys(NAMES, 0.0)])
def test_a_motion_of_zero_returns_the_photo(
    portrait: Portrait, astronaut: Picture, still: FaceMotion
) -> None:
    assert np.array_equal(portrait.frame(still), astronaut)


def test_changing_a_frame_does_not_change_the_photo(portrait: Portrait, astronaut: Picture) -> None:
    before = astronaut.copy()
    portrait.frame({})[:] = 0
    portrait.frame(EVERYTHING)[:] = 0
    assert np.array_equal(astronaut, before)


def test_frames_are_deterministic(
    astronaut_face: Face, astronaut: Picture, portrait: Portrait
) -> None:
    again = WarpEngine().prepare(astronaut.copy(), astronaut_face)
    portrait.frame({"jawOpen": 1.0, "eyeBlinkRight": 1.0})
    assert np.array_equal(portrait.frame(EVERYTHING), again.frame(EVERYTHING))


@pytest.mark.parametrize("name", NAMES)
def test_every_coefficient_is_visible_and_continuous(
    portrait: Portrait, astronaut: Picture, name: str
) -> None:
    strong = 0.8
    if name in ("headYaw", "headPitch", "headRoll"):
        strong = 5.0  # degrees
    elif name in ("headX", "headY", "headZoom", "torsoRise", "hairSway"):
        strong = 0.05
    difference = np.abs(portrait.frame({name: strong}).astype(int) - astronaut)
    assert difference.max() > 15
    least = np.abs(portrait.frame({name: strong / 200}).astype(int) - astronaut)
    assert least.max() <= 12


def test_the_borders_of_the_picture_do_not_move(portrait: Portrait, astronaut: Picture) -> None:
    frame = portrait.frame({"headYaw": 12, "headPitch": 8, "headRoll": 4, "headX": 0.1})
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.array_equal(frame[border], astronaut[border])


def test_pixels_far_from_the_head_do_not_move(portrait: Portrait, astronaut: Picture) -> None:
    frame = portrait.frame(EVERYTHING)
    assert np.array_equal(frame[300:], astronaut[300:])
    assert np.array_equal(frame[:, 360:], astronaut[:, 360:])


def test_the_face_stays_sharp(portrait: Portrait, astronaut: Picture) -> None:
    def sharpness(picture: Picture) -> float:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        return float(np.abs(cv2.Laplacian(grey, cv2.CV_64F)).mean())

    face = np.s_[60:190, 170:285]
    moved = portrait.frame({"headYaw": 4.3, "headPitch": 1.7, "mouthSmileLeft": 0.3})
    assert sharpness(moved[face]) > 0.85 * sharpness(astronaut[face])


def rotated(picture: Picture, degrees: float) -> Picture:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def scaled(picture: Picture, factor: float) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor), np.uint8)


def cropped(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[50:190, 170:280])


def grey(picture: Picture) -> Picture:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(
        np.uint8
    )


VARIANTS: dict[str, Callable[[Picture], Picture]] = {
    "upside down": lambda picture: np.ascontiguousarray(picture[::-1, ::-1]),
    "on its side": lambda picture: rotated(picture, 90),
    "tilted": lambda picture: rotated(picture, -35),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "small": lambda picture: scaled(picture, 0.4),
    "large": lambda picture: scaled(picture, 3),
    "cropped within the face": cropped,
    "grey": grey,
    "dark": lambda picture: picture // 4,
}


QUICK = {"on its side", "tilted", "small", "cropped within the face", "grey"}


@pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in VARIANTS],
)
def test_any_photo_can_be_animated(
    face_finder: FaceFinder, astronaut: Picture, variant: str
) -> None:
    picture = VARIANTS[variant](astronaut)
    face = face_finder.find(picture)[0]
    portrait = WarpEngine().prepare(picture, face)
    assert np.array_equal(portrait.frame({}), picture)
    frame = portrait.frame(EVERYTHING)
    assert frame.shape == picture.shape
    assert frame.dtype == np.uint8
    assert np.abs(frame.astype(int) - picture).max() > 20
    assert face_finder.find(frame)


def test_a_grey_photo_stays_grey(face_finder: FaceFinder, grace_hopper: Picture) -> None:
    picture = grey(grace_hopper)
    portrait = WarpEngine().prepare(picture, face_finder.find(picture)[0])
    frame = portrait.frame({"jawOpen": 0.8, "eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    assert np.ptp(frame.astype(int), axis=2).max() <= 2


def determinant(field: Field, cell: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the determinant of q -> q - field(q) at each node: at most 0 where it folds."""
    (down_x, across_x), (down_y, across_y) = (
        np.gradient(field[..., axis].astype(np.float64), cell) for axis in (0, 1)
    )
    return np.asarray((1 - across_x) * (1 - down_y) - down_x * across_y)


def extremes(template: int) -> list[FaceMotion]:
    """Return the moments at which any coefficient of a template has an extreme value."""
    moments = motion(template, 1)
    names = sorted({name for moment in moments for name in moment})
    curves = np.array([[moment.get(name, 0.0) for name in names] for moment in moments])
    chosen = {*curves.argmax(axis=0).tolist(), *curves.argmin(axis=0).tolist()}
    return [moments[index] for index in sorted(chosen)]


@pytest.fixture(scope="module")
def skin(face: Face) -> Skin:
    coordinates = FaceCoordinates.of(face.landmarks)
    return Skin.of(face.landmarks, coordinates, Blendshapes.of(coordinates.local))


@pytest.fixture(scope="module")
def heads(picture: Picture, face: Face) -> list[HeadMotion]:
    """The motion of the head in a single layer, and in front of the background."""
    coordinates = FaceCoordinates.of(face.landmarks)
    ellipse = HeadEllipse.of(face.landmarks, coordinates)
    person = PersonMask.of(picture, face.landmarks, ellipse, coordinates.unit)
    assert person is not None
    return [
        HeadMotion.of(face.landmarks, coordinates, ellipse, picture, layer)
        for layer in (None, person)
    ]


@pytest.mark.parametrize("template", range(len(EXPRESSIONS)))
def test_no_template_folds_the_face(
    face: Face, skin: Skin, heads: list[HeadMotion], template: int
) -> None:
    seam = face.landmarks[[13, 14], 1].mean()
    for moment in extremes(template):
        pose = skin.pose(skin_coefficients(moment))
        nodes = skin.lattice.nodes()
        for lip in Lip:
            used = nodes[..., 1] < seam if lip is Lip.UPPER else nodes[..., 1] > seam
            assert determinant(pose.sample(lip, nodes), skin.lattice.cell)[used].min() > 0.1
        for head in heads:
            turned = head.pose(moment).on_unmoved_head(head.lattice.nodes())
            field = head.lattice.nodes() - turned
            assert determinant(field, head.lattice.cell).min() > 0.3


@pytest.fixture(scope="module")
def small_portrait(face_finder: FaceFinder, astronaut: Picture) -> Portrait:
    picture = scaled(astronaut, 0.5)
    return WarpEngine().prepare(picture, face_finder.find(picture)[0])


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(NAMES)), st.floats(-0.3, 1.0), max_size=8))
def test_any_motion_gives_a_frame(small_portrait: Portrait, any_motion: FaceMotion) -> None:
    assert small_portrait.frame(any_motion).shape == (256, 256, 3)
