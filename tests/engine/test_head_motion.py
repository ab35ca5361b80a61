"""Head motion, measured by landmarks in frames."""

from collections.abc import Callable

import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.head_motion import HeadMotion, is_still
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.picture import Picture


def yaw_of(face: Face) -> float:
    """Return where the nose is between the ears, 0 to 1."""
    points = face.landmarks[:, 0]
    left, nose, right = points[[lm.SIDE_LEFT, lm.NOSE_TIP, lm.SIDE_RIGHT]]
    return float((nose - left) / (right - left))


def pitch_of(face: Face) -> float:
    """Return where the nose is between forehead and chin, 0 to 1."""
    points = face.landmarks[:, 1]
    top, nose, bottom = points[[lm.FOREHEAD, lm.NOSE_TIP, lm.CHIN]]
    return float((nose - top) / (bottom - top))


def single_layer(picture: Picture, face: Face) -> HeadMotion:
    coordinates = FaceCoordinates.of(face.landmarks)
    ellipse = HeadEllipse.of(face.landmarks, coordinates)
    return HeadMotion.of(face.landmarks, coordinates, ellipse, picture, None)


@pytest.mark.parametrize("yaw", [-10.0, 10.0])
def test_half_a_face_is_not_squeezed_at_the_border(
    grace_hopper: Picture, grace_hopper_face: Face, yaw: float
) -> None:
    size, x = grace_hopper_face.eye_distance, round(grace_hopper_face.centre[0])
    part = np.ascontiguousarray(grace_hopper[:, x:])
    head = single_layer(part, grace_hopper_face.moved(-x, 0))
    moved = head.forward({"headYaw": yaw})[..., 0]
    assert np.abs(moved).max() > 0.01 * size
    slope = np.diff(moved, axis=1) / head.lattice.cell
    assert np.abs(slope).max() < 0.2  # 0.75 with all of the motion


def test_yaw_turns_the_face_to_the_right(find_in_frame: Callable[[FaceMotion], Face]) -> None:
    seen = [yaw_of(find_in_frame({"headYaw": yaw})) for yaw in (-12.0, -6.0, 0.0, 6.0, 12.0)]
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] > 0.08


def test_pitch_tilts_the_face_down(find_in_frame: Callable[[FaceMotion], Face]) -> None:
    seen = [pitch_of(find_in_frame({"headPitch": pitch})) for pitch in (-8.0, 0.0, 8.0)]
    assert seen == sorted(seen)


@pytest.mark.parametrize("degrees", [-4.0, 4.0])
def test_roll_rotates_the_eyes_by_its_angle(
    find_in_frame: Callable[[FaceMotion], Face], face: Face, degrees: float
) -> None:
    tilted = find_in_frame({"headRoll": degrees})
    assert np.degrees(tilted.roll - face.roll) == pytest.approx(degrees, abs=1.0)


def test_the_head_moves_by_head_x_and_y(
    find_in_frame: Callable[[FaceMotion], Face], face: Face
) -> None:
    moved = find_in_frame({"headX": 0.1, "headY": -0.05})
    by = (moved.landmarks[:, :2] - face.landmarks[:, :2]).mean(axis=0) / face.eye_distance
    assert by == pytest.approx([0.1, -0.05], abs=0.025)


def test_zoom_enlarges_the_face(find_in_frame: Callable[[FaceMotion], Face], face: Face) -> None:
    near = find_in_frame({"headZoom": 0.06})
    assert near.eye_distance / face.eye_distance == pytest.approx(1.06, abs=0.02)


def test_hair_moves_with_the_head_less_than_the_nose(picture: Picture, face: Face) -> None:
    coordinates = FaceCoordinates.of(face.landmarks)
    pose = single_layer(picture, face).pose({"headYaw": 8.0})
    forehead, nose = face.landmarks[[lm.FOREHEAD, lm.NOSE_TIP], :2]
    hair = forehead - 0.25 * coordinates.unit * coordinates.axes[:2, 1]
    assert 0.02 * coordinates.unit < pose.displacement(hair)[0] < pose.displacement(nose)[0]


def test_in_a_single_layer_the_head_moves_less(picture: Picture, face: Face) -> None:
    coordinates = FaceCoordinates.of(face.landmarks)
    ellipse = HeadEllipse.of(face.landmarks, coordinates)
    person = PersonMask.of(picture, face.landmarks, ellipse, coordinates.unit)
    assert person is not None
    nose = face.landmarks[lm.NOSE_TIP, :2]
    alone, in_front = (
        HeadMotion.of(face.landmarks, coordinates, ellipse, picture, layer)
        .pose({"headX": 0.1})
        .displacement(nose)[0]
        for layer in (None, person)
    )
    assert in_front == pytest.approx(0.1 * coordinates.unit, rel=0.05)
    assert alone == pytest.approx(in_front / 1.3, rel=0.05)


@pytest.mark.parametrize("motion", [{}, {"jawOpen": 1.0}, {"headYaw": 0.0}])
def test_a_still_head_has_no_field(picture: Picture, face: Face, motion: FaceMotion) -> None:
    pose = single_layer(picture, face).pose(motion)
    assert is_still(motion)
    assert pose.box is None
    assert not pose.displacement(np.array([100.0, 100.0])).any()
