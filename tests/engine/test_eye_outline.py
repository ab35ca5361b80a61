"""The shape of eyes."""

import numpy as np
import pytest

from photoanimer_async.engine.eye_outline import EyeOutline
from photoanimer_async.engine.face import Face


def test_lids_pass_through_the_landmarks(face: Face) -> None:
    outline = EyeOutline.of(face.landmarks, "Left")
    for lid, indices in ((outline.upper, (160, 159, 158)), (outline.lower, (144, 145, 153))):
        points = (face.landmarks[list(indices), :2] - outline.centre) @ outline.turn
        y = lid(points[:, 0].astype(np.float32))
        assert y == pytest.approx(points[:, 1], abs=0.03 * outline.width)
    corners = np.array([-0.5, 0.5, 0.7], np.float32) * np.float32(outline.width)
    assert outline.upper(corners) == pytest.approx(0, abs=0.01)


def test_sides_are_those_of_the_picture(face: Face) -> None:
    left, right = (EyeOutline.of(face.landmarks, side) for side in ("Left", "Right"))
    assert left.centre[0] < right.centre[0]
    assert (left.outwards, right.outwards) == (-1, 1)
    assert left.opening > 0.2
