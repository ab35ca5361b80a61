"""Layers as frames draw them."""

import numpy as np
import pytest

from photoanimer_async.engine.face import Face
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.photo_layers import PhotoLayers
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box


def layers_of(picture: Picture, face: Face, *, in_front: bool) -> PhotoLayers:
    coordinates = FaceCoordinates.of(face.landmarks)
    ellipse = HeadEllipse.of(face.landmarks, coordinates)
    person = PersonMask.of(picture, face.landmarks, ellipse, coordinates.unit)
    assert person is not None
    return PhotoLayers.of(picture, person if in_front else None, coordinates.unit)


@pytest.mark.parametrize("in_front", [False, True])
def test_at_rest_the_layers_are_the_photo(picture: Picture, face: Face, *, in_front: bool) -> None:
    layers = layers_of(picture, face, in_front=in_front)
    box = Box(40, 30, picture.shape[1] - 20, picture.shape[0] - 10)
    target = picture[box.slices].copy()
    layers.draw(target, box.pixels(), box)
    assert np.abs(target.astype(int) - picture[box.slices]).max() <= 1


def test_the_person_moves_and_the_background_stays(picture: Picture, face: Face) -> None:
    layers = layers_of(picture, face, in_front=True)
    box, frame = Box.of(picture), picture.copy()
    layers.draw(frame, box.pixels() - np.array([6, 0], np.float32), box)
    x, y = (round(centre) for centre in face.centre)
    near = round(0.4 * face.eye_distance)
    left, top, right, bottom = x - near, y - near, x + near, y + near
    moved = frame[top:bottom, left + 6 : right + 6].astype(int)
    assert np.abs(moved - picture[top:bottom, left:right]).max() <= 1
    assert np.array_equal(frame[:20, -20:], picture[:20, -20:])


def test_strips_have_the_person_within_reach(picture: Picture, face: Face) -> None:
    """Much of the photo is not drawn at all."""
    strips = layers_of(picture, face, in_front=True).strips
    left, top, right, bottom = (round(side) for side in face.box)
    drawn = np.zeros(picture.shape[:2], int)
    for strip in strips:
        drawn[strip.slices] += 1
    reach = round(0.5 * face.eye_distance)
    assert (drawn[top:bottom, max(left - reach, 0) : right + reach] == 1).all()
    assert drawn.max() == 1
    assert drawn[0, 0] == drawn[0, -1] == 0
