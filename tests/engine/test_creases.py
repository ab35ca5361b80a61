"""The creases beside a mouth, which smooth out when the lips purse."""

import cv2
import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.creases import smoothed_creases
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shading import UNCHANGED, Shading
from photoanimer_async.engine.warp import Box


def creased(picture: Picture, face: Face, landmark: int = lm.MOUTH_LEFT) -> Picture:
    """Return a face of one colour, with a dark crease across a landmark."""
    drawn, level = np.full_like(picture, 180), 70
    x, y = face.landmarks[landmark, :2].round().astype(int).tolist()
    length, width = round(0.04 * face.eye_distance), max(1, round(0.03 * face.eye_distance))
    cv2.line(drawn, (x, y - length), (x, y + length), (level,) * 3, width, cv2.LINE_AA)
    return drawn


@pytest.mark.parametrize("step", [1, 3])
def test_only_creases_at_the_corners_are_lightened(
    grace_hopper: Picture, grace_hopper_face: Face, step: int
) -> None:
    face, unit = grace_hopper_face, grace_hopper_face.eye_distance
    box = Box.around(face.landmarks[:, :2], 0.1 * unit)
    pattern = smoothed_creases(creased(grace_hopper, face), face.landmarks[:, :2], unit, box, step)
    assert pattern.shape == (-(-box.height // step), -(-box.width // step))

    def largest(landmark: int) -> float:
        place = (face.landmarks[landmark, :2] - [box.left, box.top]) / step
        x, y = place.round().astype(int)
        reach = round(0.1 * unit / step)
        return float(pattern[y - reach : y + reach, x - reach : x + reach].max())

    assert largest(lm.MOUTH_LEFT) > 0.2
    assert largest(lm.MOUTH_RIGHT) < 0.01
    assert largest(lm.NOSE_TIP) < 0.01


def test_the_folds_of_a_smile_are_lightened_and_less_so_the_wing_of_the_nose(
    grace_hopper: Picture, grace_hopper_face: Face
) -> None:
    face, unit = grace_hopper_face, grace_hopper_face.eye_distance
    points = face.landmarks[:, :2]
    box = Box.around(points, 0.1 * unit)

    def lightened(landmark: int) -> float:
        drawn = creased(grace_hopper, face, landmark)
        x, y = (points[landmark] - [box.left, box.top]).round().astype(int)
        return float(smoothed_creases(drawn, points, unit, box, 1)[y, x])

    wing, *fold = map(lightened, lm.FOLD_RIGHT)
    assert min(fold) > 0.3
    assert wing < 0.75 * min(fold)
    assert lightened(lm.NOSE_TIP) < 0.01


def test_a_kiss_smooths_a_crease(grace_hopper: Picture, grace_hopper_face: Face) -> None:
    face, photo = grace_hopper_face, creased(grace_hopper, grace_hopper_face)
    shading = Shading.of(photo, face.landmarks, face.eye_distance)
    gain = shading.gain({"mouthPucker": 1.0})
    assert gain is not None
    assert gain.max() > 1.2 * UNCHANGED
    assert gain.min() == UNCHANGED
    half = shading.gain({"mouthPucker": 0.5})
    assert half is not None
    assert int(half.max()) - UNCHANGED == pytest.approx((int(gain.max()) - UNCHANGED) / 2, abs=1)


def test_the_border_of_the_photo_is_no_crease(astronaut: Picture, astronaut_face: Face) -> None:
    points, unit = astronaut_face.landmarks[:, :2], astronaut_face.eye_distance
    left = round(points[lm.MOUTH_LEFT, 0])
    cut, moved = np.full_like(astronaut, 150)[:, left:], points - [left, 0]
    box = Box.around(moved, 0.3 * unit)
    assert smoothed_creases(cut, moved, unit, box, 1).max() == 0
