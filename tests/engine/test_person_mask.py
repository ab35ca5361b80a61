"""The person mask."""

from collections.abc import Callable

import numpy as np
import pytest

from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.person_mask import PersonMask, Region, matte
from photoanimer_async.engine.picture import Picture


def mask_of(picture: Picture, face: Face) -> PersonMask | None:
    coordinates = FaceCoordinates.of(face.landmarks)
    ellipse = HeadEllipse.of(face.landmarks, coordinates)
    return PersonMask.of(picture, face.landmarks, ellipse, coordinates.unit)


def test_the_mask_is_on_the_person(picture: Picture, face: Face) -> None:
    mask = mask_of(picture, face)
    assert mask is not None
    box = mask.region.box
    assert mask.opacity.shape == (box.height, box.width)
    x, y = (face.landmarks[:468, :2] - [box.left, box.top]).round().astype(int).T
    assert mask.opacity[y, x].mean() > 0.98
    assert mask.opacity[:20, :40].max() < 0.02
    assert mask.opacity[:20, -40:].max() < 0.02
    certain = (mask.opacity < 0.02) | (mask.opacity > 0.98)
    assert certain.mean() > 0.9


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_rotated_photo_has_the_rotated_mask(
    face_finder: FaceFinder, grace_hopper: Picture, grace_hopper_face: Face, quarters: int
) -> None:
    upright = mask_of(grace_hopper, grace_hopper_face)
    rotated = np.ascontiguousarray(np.rot90(grace_hopper, quarters))
    mask = mask_of(rotated, face_finder.find(rotated)[0])
    assert upright is not None
    assert mask is not None
    whole, turned = (np.zeros(p.shape[:2], np.float32) for p in (grace_hopper, rotated))
    whole[upright.region.box.slices] = upright.opacity
    turned[mask.region.box.slices] = mask.opacity
    difference = np.abs(np.rot90(turned, -quarters) - whole)
    assert difference.mean() < 0.02


def close_up(picture: Picture, face: Face) -> tuple[Picture, Face]:
    """Cut out the face alone: there is no background."""
    left, top, right, bottom = (round(side) for side in face.box)
    return np.ascontiguousarray(picture[top:bottom, left:right]), face.moved(-left, -top)


def elsewhere(picture: Picture, face: Face) -> tuple[Picture, Face]:
    """Move the landmarks to the background: mask and mesh disagree."""
    return picture, face.moved(-face.box[0], 0)


def noise(picture: Picture, face: Face) -> tuple[Picture, Face]:
    """Replace the photo by noise: there is no person."""
    return np.random.default_rng(1).integers(0, 256, picture.shape, np.uint8), face


@pytest.mark.parametrize("change", [close_up, elsewhere, noise])
def test_a_mask_that_cannot_be_trusted_is_not_used(
    change: Callable[[Picture, Face], tuple[Picture, Face]], picture: Picture, face: Face
) -> None:
    assert mask_of(*change(picture, face)) is None


def test_the_region_is_around_the_face_and_turns_with_it(face: Face) -> None:
    wide = np.zeros((2000, 2000, 3), np.uint8)
    there = face.moved(700, 700)
    region = Region.around(there.landmarks, 0.1, wide)
    left, top, right, bottom = there.box
    assert region.down.tolist() == [0, 1]
    assert bottom - region.box.top < region.box.bottom - top  # more below than above
    assert region.foot(np.array(there.centre)) == pytest.approx(region.box.bottom - there.centre[1])
    on_its_side = Region.around(there.landmarks, np.pi / 2, wide)
    assert on_its_side.down.tolist() == [-1, 0]
    assert left - on_its_side.box.left > on_its_side.box.right - right


def test_a_soft_probability_becomes_a_matte_by_colours() -> None:
    part = np.full((80, 80, 3), 200, np.uint8)
    part[:, :40] = 40
    part[:, 40] = 120  # half and half
    ramp = np.clip((52 - np.arange(80)) / 24, 0, 1).astype(np.float32)  # 0.5 at column 40
    opacity = matte(part, np.tile(ramp, (80, 1)), unit=80)
    row = opacity[40]
    assert row[:38].min() > 0.9
    assert row[40] == pytest.approx(0.5, abs=0.1)
    assert row[43:].max() < 0.1


def test_nothing_moves_away_from_where_the_photo_cuts_the_person_off(
    picture: Picture, face: Face
) -> None:
    mask = mask_of(picture, face)
    assert mask is not None
    box = mask.region.box
    weight = mask.mobility.at(box.pixels())
    below = weight[-1][mask.opacity[-1] > 0.5]
    assert len(below) > 100
    assert below[:, 1].max() < 0.01
    x, y = (np.array(face.centre) - [box.left, box.top]).round().astype(int)
    assert weight[y, x].min() > 0.99
