"""The mouth, measured by landmarks in frames."""

from collections.abc import Callable

import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine


def opening(face: Face) -> float:
    """Distance of the lips by that of the eyes' outer corners."""
    top, bottom = face.landmarks[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], :2]
    return float(np.linalg.norm(bottom - top)) / face.eye_distance


def width(face: Face) -> float:
    left, right = face.landmarks[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT], :2]
    return float(np.linalg.norm(right - left)) / face.eye_distance


def test_the_jaw_opens_the_mouth(find_in_frame: Callable[[FaceMotion], Face]) -> None:
    seen = [opening(find_in_frame({"jawOpen": jaw})) for jaw in (0.0, 0.2, 0.4, 0.6)]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] + 0.1


def test_a_kiss_narrows_and_a_smile_widens_the_mouth(
    find_in_frame: Callable[[FaceMotion], Face], face: Face
) -> None:
    kiss = find_in_frame({"mouthPucker": 0.9})
    smile = find_in_frame({"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0})
    assert width(kiss) < 0.85 * width(face)
    assert width(smile) > 1.1 * width(face)


def test_a_smiling_mouth_can_close(
    astronaut_face: Face, face_finder: FaceFinder, astronaut: Picture
) -> None:
    face = astronaut_face
    closed = WarpEngine().prepare(astronaut, face).frame({"mouthClose": 1.0, "mouthPucker": 0.9})
    assert opening(face_finder.find(closed)[0]) < 0.35 * opening(face)


def test_a_smile_lifts_the_corners_and_a_frown_lowers_them(
    find_in_frame: Callable[[FaceMotion], Face],
) -> None:
    def corners(motion: FaceMotion) -> float:
        points = find_in_frame(motion).landmarks
        ends = points[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT], 1].mean()
        return float(ends - points[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], 1].mean())

    def both(name: str) -> FaceMotion:
        return {f"{name}Left": 1.0, f"{name}Right": 1.0}

    assert corners(both("mouthSmile")) < corners({}) < corners(both("mouthFrown"))


def test_an_open_mouth_is_dark_and_has_teeth(
    grace_hopper_face: Face, face_finder: FaceFinder, grace_hopper: Picture
) -> None:
    face = grace_hopper_face
    frame = WarpEngine().prepare(grace_hopper, face).frame({"jawOpen": 0.7})
    opened = face_finder.find(frame)[0].landmarks
    x = round(float(opened[lm.LIP_INNER_TOP, 0])) + 5
    top, bottom = opened[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], 1]
    column = frame[round(top) : round(bottom), x].mean(axis=-1)
    teeth = column[: max(3, len(column) // 3)].max()
    assert teeth > 1.7 * column.min()
    assert column.min() < 70
