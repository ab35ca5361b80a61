"""The person in front of the background, measured in frames.

Composites of a cut-out portrait over fine stripes: what is behind the person is known there, and
shows every movement.
"""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.background import Layers
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.engines import Portrait
from photoanimer_async.engine.expressions import EXPRESSIONS, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine

Floats = NDArray[np.float32]

LOOKING_AROUND = 1
REACH = 0.25
"""Distance from the person, in u, that a motion of the person can cover."""


@frozen(eq=False)
class Composite:
    """A cut-out person over stripes.

    Attributes:
        picture: The composite.
        face: The face in it.
        person: How much of each pixel is person, 0 to 1.
        portrait: The composite, prepared by the engine.
    """

    picture: Picture
    face: Face
    person: Floats
    portrait: Portrait

    @property
    def unit(self) -> float:
        return self.face.eye_distance

    @property
    def beyond_reach(self) -> NDArray[np.bool_]:
        """The stripes that the person cannot cover."""
        outside = (self.person < 0.02).astype(np.uint8)
        return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5) > REACH * self.unit)

    @property
    def shoulders(self) -> NDArray[np.bool_]:
        y, x = np.indices(self.person.shape)
        left, top, right, bottom = self.face.box
        height = bottom - top
        low = (y > bottom + 0.35 * height) & (y < bottom + 0.9 * height)
        return np.asarray((self.person > 0.98) & low & (np.abs(x - (left + right) / 2) < height))


def stripes(shape: tuple[int, int], slant: float) -> Picture:
    y, x = np.indices(shape)
    dark = (x + slant * y).astype(int) // 3 % 2 == 0
    return np.repeat(np.where(dark, 90, 165)[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(0.0, id="upright"),
        pytest.param(0.4, id="slanted", marks=pytest.mark.slow),
    ],
)
def composite(
    request: pytest.FixtureRequest, picture: Picture, face: Face, face_finder: FaceFinder
) -> Composite:
    coordinates = FaceCoordinates.of(face.landmarks)
    ellipse = HeadEllipse.of(face.landmarks, coordinates)
    mask = PersonMask.of(picture, face.landmarks, ellipse, coordinates.unit)
    assert mask is not None
    box = mask.region.box
    # A narrow edge: what the matte is in doubt of is not to be seen as part of the stripes.
    sure = np.clip((mask.opacity - 0.5) * 2 + 0.5, 0, 1)
    layers = Layers.of(picture[box.slices], sure, coordinates.unit)
    alpha = layers.person[..., 3:] / 255
    behind = stripes(alpha.shape[:2], request.param)
    whole = np.round(layers.person[..., :3] + (1 - alpha) * behind).astype(np.uint8)
    even = whole[: whole.shape[0] // 2 * 2, : whole.shape[1] // 2 * 2]
    composed = np.ascontiguousarray(even)
    found = face_finder.find(composed)[0]
    person = alpha[: even.shape[0], : even.shape[1], 0].astype(np.float32)
    return Composite(composed, found, person, WarpEngine().prepare(composed, found))


def extremes(template: int, *names: str) -> list[FaceMotion]:
    """Return the moments at which coefficients of a template are largest and smallest."""
    moments = motion(template, 1)
    curves = np.array([[moment.get(name, 0.0) for name in names] for moment in moments])
    chosen = {*curves.argmax(axis=0).tolist(), *curves.argmin(axis=0).tolist()}
    return [moments[index] for index in sorted(chosen)]


def flow(before: Picture, after: Picture) -> Floats:
    """Return how far each pixel has moved, in pixels, shape (H, W)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    found = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(
        grey[0], grey[1], np.zeros((*grey[0].shape, 2), np.float32)
    )
    return np.hypot(found[..., 0], found[..., 1])


def shifts(before: Picture, after: Picture, where: NDArray[np.bool_]) -> Floats:
    """Return how far stripes have moved across, in pixels, in all squares of 15 px within a mask.

    By the gradient (Lucas and Kanade): unlike optical flow, it sees nothing outside the square.
    """
    first, second = (
        cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1)
        for frame in (before, after)
    )
    across = np.gradient(first, axis=1)
    shift, sure, inside = (
        cv2.blur(values, (15, 15))
        for values in ((first - second) * across, across * across, where.astype(np.float32))
    )
    return np.asarray((shift / np.maximum(sure, 1e-6))[inside > 0.999], np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("template", range(len(EXPRESSIONS)))
def test_stripes_stand_still(composite: Composite, template: int) -> None:
    beyond = composite.beyond_reach
    assert beyond.mean() > 0.15
    for moment in extremes(template, "headYaw", "headRoll", "headPitch", "torsoLean"):
        frame = composite.portrait.frame(moment)
        change = cv2.absdiff(frame, composite.picture).max(axis=2)[beyond]
        assert (change <= 12).mean() >= 0.995
        moved = shifts(composite.picture, frame, beyond)
        assert len(moved) > 100
        assert np.abs(moved).max() <= 0.01 * composite.unit


def test_shoulders_move_with_the_head(composite: Composite) -> None:
    assert composite.shoulders.sum() > 1000
    moved = [
        float(flow(composite.picture, composite.portrait.frame(moment))[composite.shoulders].mean())
        for moment in extremes(LOOKING_AROUND, "headYaw")
    ]
    assert max(moved) >= 0.02 * composite.unit


def test_the_first_movement_is_not_seen(composite: Composite) -> None:
    """The person over the background is the photo: nothing pops when the motion begins."""
    slight = {"headYaw": 0.002, "torsoLean": 0.0005}
    change = cv2.absdiff(composite.portrait.frame(slight), composite.picture)
    assert change.mean() < 0.05
    assert change.max() <= 4


def test_a_neighbour_stands_still(
    face_finder: FaceFinder, grace_hopper: Picture, astronaut: Picture
) -> None:
    beside = cv2.resize(astronaut[:, 40:420], (445, 600), interpolation=cv2.INTER_AREA)
    group = np.ascontiguousarray(np.hstack([grace_hopper, beside]))
    faces = face_finder.find(group)
    assert len(faces) == 2
    largest, other = faces
    portrait = WarpEngine().prepare(group, largest)
    left, top, right, bottom = (round(side) for side in other.box)
    there = np.s_[top - 60 : bottom + 40, left - 30 : right + 30]
    for moment in extremes(LOOKING_AROUND, "headYaw", "headRoll"):
        frame = portrait.frame(moment)
        assert np.abs(frame[there].astype(int) - group[there]).max() <= 2
        assert cv2.absdiff(frame, group).mean() > 1


LEANING = {"headYaw": 8.0, "torsoLean": 1.0, "torsoRise": 0.02}


@pytest.fixture(scope="module")
def leaning(grace_hopper: Picture, grace_hopper_face: Face) -> Picture:
    return WarpEngine().prepare(grace_hopper, grace_hopper_face).frame(LEANING)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_person_on_the_side_moves_in_front_of_the_background(
    face_finder: FaceFinder, grace_hopper: Picture, leaning: Picture, quarters: int
) -> None:
    rotated = np.ascontiguousarray(np.rot90(grace_hopper, quarters))
    frame = WarpEngine().prepare(rotated, face_finder.find(rotated)[0]).frame(LEANING)
    difference = cv2.absdiff(np.rot90(frame, -quarters).copy(), leaning)
    assert difference.mean() < 2.5


@pytest.mark.parametrize(
    "spoil",
    [lambda photo: photo[40:200, 165:290], lambda photo: cv2.GaussianBlur(photo, (0, 0), 6)],
    ids=["close-up", "blurred"],
)
def test_any_photo_moves_without_gaps(
    face_finder: FaceFinder, astronaut: Picture, spoil: Callable[[Picture], Picture]
) -> None:
    photo = np.ascontiguousarray(spoil(astronaut))
    portrait = WarpEngine().prepare(photo, face_finder.find(photo)[0])
    frame = portrait.frame({"headYaw": 12, "headRoll": 3, "torsoLean": 2, "torsoRise": -0.04})
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.abs(frame[border].astype(int) - photo[border]).max() <= 8
