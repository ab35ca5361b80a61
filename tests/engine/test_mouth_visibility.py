"""Covered mouths are not opened."""

from collections.abc import Callable
from itertools import product

import cv2
import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.mouth_visibility import mouth_is_covered
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine

WIDE_OPEN = {"jawOpen": 0.8, "mouthSmileLeft": 1.0, "mouthPucker": 0.5, "mouthUpperUp": 1.0}


def covered(picture: Picture, face: Face) -> bool:
    texture = PhotoTexture.of(picture, face.landmarks, face.eye_distance)
    return mouth_is_covered(picture, face.landmarks, face.eye_distance, texture)


def grey(picture: Picture) -> Picture:
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), np.uint8)


def noisy(picture: Picture) -> Picture:
    noise = np.random.default_rng(0).standard_normal(picture.shape, np.float32)
    return np.asarray(np.clip(picture + 10 * noise, 0, 255), np.uint8)


def enlarged(picture: Picture) -> Picture:
    """Return a picture with the details of a tenth of its size."""
    small = cv2.resize(picture, None, fx=0.1, fy=0.1, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(large, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)


LOOKS: dict[str, Callable[[Picture], Picture]] = {
    "plain": lambda picture: picture,
    "grey": grey,
    "sepia": lambda picture: np.asarray(grey(picture) * np.array([1.0, 0.92, 0.75]), np.uint8),
    "dark": lambda picture: np.asarray(picture * 0.4, np.uint8),
    "pale": lambda picture: np.asarray(140 + picture * 0.4, np.uint8),
    "blue light": lambda picture: np.asarray(picture * np.array([0.6, 0.8, 1.0]), np.uint8),
    "blurred": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.uint8),
    "noisy": noisy,
    "enlarged": enlarged,
    "large": lambda picture: np.asarray(cv2.resize(picture, None, fx=2, fy=2), np.uint8),
}


@pytest.mark.parametrize("look", LOOKS)
def test_visible_mouths_are_visible(picture: Picture, face: Face, look: str) -> None:
    photo = LOOKS[look](picture)
    scale = photo.shape[0] / picture.shape[0]
    assert not covered(photo, Face(face.landmarks * scale, face.score))


def test_a_foreign_colour_is_a_cover_in_a_blurred_photo_too(
    grace_hopper: Picture, grace_hopper_face: Face
) -> None:
    masked = enlarged(mask(grace_hopper, grace_hopper_face))
    assert covered(masked, grace_hopper_face.scaled(2, 2))


def fill(picture: Picture, points: np.ndarray, colours: Picture) -> Picture:
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    return np.where(mask[..., None] > 0, colours, picture).astype(np.uint8)


def test_bluish_lips_with_a_clear_line_between_them_are_visible(
    grace_hopper: Picture, grace_hopper_face: Face
) -> None:
    """In mixed light, brown lips are bluer than the skin; a cloth is so without a line."""
    blue = np.clip(grace_hopper * np.array([0.6, 0.85, 1.35]), 0, 255).astype(np.uint8)
    outer = [*lm.LIPS_OUTER_UPPER, *lm.LIPS_OUTER_LOWER[-2:0:-1]]
    lips = grace_hopper_face.landmarks[outer, :2]
    assert not covered(fill(grace_hopper, lips, blue), grace_hopper_face)
    cloth = np.broadcast_to(np.median(blue[blue.sum(axis=2) > 300], axis=0), blue.shape)
    assert covered(fill(grace_hopper, lips, cloth.astype(np.uint8)), grace_hopper_face)


def mask(picture: Picture, face: Face) -> Picture:
    edge = (93, 118, 5, 347, 323, 361, 288, 397, 378, 152, 149, 172, 58, 132)
    cloth = np.broadcast_to(np.array([170, 200, 225], np.uint8), picture.shape)
    return fill(picture, face.landmarks[list(edge), :2], np.asarray(cloth))


def hand(picture: Picture, face: Face) -> Picture:
    """Draw four fingers across the mouth, in the colour of the cheeks."""
    drawn, unit = picture.copy(), face.eye_distance
    x, y = face.landmarks[[50, 280], :2].round().astype(int).T
    skin = np.median(picture[y, x], axis=0)
    centre = face.landmarks[lm.LIP_INNER_TOP, :2]
    for finger in range(4):
        left = centre + unit * np.array([-0.5, 0.13 * finger - 0.17])
        right = left + unit * np.array([1.0, 0.03])
        for width, light in ((0.13, 0.65), (0.10, 1.0)):
            ends = [tuple(end.round().astype(int).tolist()) for end in (left, right)]
            colour = (skin * light).tolist()
            cv2.line(drawn, ends[0], ends[1], colour, round(width * unit), cv2.LINE_AA)
    return drawn


def microphone(picture: Picture, face: Face) -> Picture:
    drawn = picture.copy()
    centre = face.landmarks[lm.LIP_INNER_BOTTOM, :2] + [0, 0.1 * face.eye_distance]
    x, y = centre.round().astype(int).tolist()
    cv2.circle(drawn, (x, y), round(0.32 * face.eye_distance), (52, 52, 56), -1, cv2.LINE_AA)
    return drawn


def beard(picture: Picture, face: Face) -> Picture:
    """Draw hair over the mouth and the chin."""
    rng = np.random.default_rng(2)
    strands = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2]), (0, 0), 0.8, sigmaY=5)
    hair = np.array([70, 52, 42]) + 90 * strands[..., None]
    edge = (132, 186, 164, 410, 361, 397, 378, 152, 149, 172)
    return fill(picture, face.landmarks[list(edge), :2], np.clip(hair, 0, 255).astype(np.uint8))


COVERS = {"mask": mask, "hand": hand, "microphone": microphone, "beard": beard}


QUICK = {("astronaut", "mask"), ("astronaut", "hand"), *product(["grace_hopper"], COVERS)}


@pytest.mark.parametrize(
    ("name", "cover"),
    [
        pytest.param(name, cover, marks=() if (name, cover) in QUICK else pytest.mark.slow)
        for name in ("astronaut", "grace_hopper")
        for cover in COVERS
    ],
    indirect=["name"],
)
def test_a_covered_mouth_stays_as_it_is(
    picture: Picture, face: Face, face_finder: FaceFinder, cover: str
) -> None:
    photo = COVERS[cover](picture, face)
    found = face_finder.find(photo)[0]
    assert covered(photo, found)
    portrait = WarpEngine().prepare(photo, found)
    assert np.array_equal(portrait.frame(WIDE_OPEN), photo)
    assert (portrait.frame({**WIDE_OPEN, "eyeBlinkLeft": 1.0}) != photo).any()


def test_a_face_at_the_border_has_a_visible_mouth(astronaut_face: Face) -> None:
    assert not covered(np.full((40, 40, 3), 100, np.uint8), astronaut_face)
