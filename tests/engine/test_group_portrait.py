"""Several people in one photo."""

import numpy as np

from photoanimer_async.engine.face import Face
from photoanimer_async.engine.group_portrait import rectangles


def test_rectangles_of_faces_do_not_overlap() -> None:
    def face_at(x: float, y: float, size: float) -> Face:
        landmarks = np.zeros((478, 3))
        landmarks[0, :2] = x, y
        landmarks[1:, :2] = x + size, y + size
        return Face(landmarks, 1)

    photo = np.zeros((400, 600, 3), np.uint8)
    left, right, below = face_at(50, 50, 100), face_at(250, 60, 100), face_at(60, 250, 80)
    areas = rectangles(photo, [left, right, below])
    covered = np.zeros((400, 600), int)
    for area in areas:
        covered[area.top : area.bottom, area.left : area.right] += 1
    assert covered.max() == 1
    assert (areas[0].left, areas[0].top, areas[0].right, areas[0].bottom) == (0, 0, 200, 200)
