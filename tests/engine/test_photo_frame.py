"""Frames around photos: margins of prints, and black bars."""

import cv2
import numpy as np
import pytest

from photoanimer_async.engine.face import Face
from photoanimer_async.engine.photo_frame import content_box
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box
from photoanimer_async.engine.warp_engine import WarpEngine


def framed(picture: Picture, sides: tuple[int, int, int, int], colour: int) -> Picture:
    """Return a picture with a noisy frame of some widths: top, bottom, left and right."""
    mild = picture // 2 + 60  # nowhere black or white
    whole = cv2.copyMakeBorder(mild, *sides, cv2.BORDER_CONSTANT, value=(colour,) * 3)
    noise = np.random.default_rng(5).integers(-4, 5, whole.shape)
    return np.asarray(np.clip(whole + noise, 0, 255), np.uint8)


@pytest.mark.parametrize("colour", [0, 245])
@pytest.mark.parametrize("sides", [(30, 60, 25, 25), (0, 0, 80, 80), (64, 64, 0, 0)])
def test_a_frame_is_found(
    astronaut: Picture, sides: tuple[int, int, int, int], colour: int
) -> None:
    height, width = astronaut.shape[:2]
    top, left = sides[0], sides[2]
    box = content_box(framed(astronaut, sides, colour))
    assert box == Box(left, top, left + width, top + height)


def test_a_photo_without_a_frame_is_all_content(picture: Picture) -> None:
    assert content_box(picture) == Box.of(picture)


@pytest.mark.parametrize("colour", [0, 245])
def test_a_plain_wall_is_no_frame(colour: int) -> None:
    wall = np.full((300, 260, 3), colour, np.uint8)
    cv2.ellipse(wall, (130, 150), (60, 90), 0, 0, 360, (190, 140, 115), -1)
    cv2.rectangle(wall, (60, 230), (200, 300), (60, 70, 120), -1)
    assert content_box(wall) == Box.of(wall)
    assert content_box(wall[:, :0]) == Box.of(wall[:, :0])
    plain = np.full((5, 4, 3), colour, np.uint8)
    assert content_box(plain) == Box.of(plain)


def test_a_frame_stands_still(astronaut: Picture, astronaut_face: Face) -> None:
    photo = framed(astronaut, (0, 0, 90, 70), 245)
    inside = content_box(photo)
    portrait = WarpEngine().prepare(photo, astronaut_face.moved(90, 0))
    assert np.array_equal(portrait.frame({}), photo)
    frame = portrait.frame({"headYaw": 12.0, "headX": 0.2, "torsoLean": 3.0, "jawOpen": 0.5})
    changed = np.abs(frame.astype(int) - photo).max(axis=2) > 0
    assert changed[inside.slices].mean() > 0.1
    changed[inside.slices] = False
    assert not changed.any()
