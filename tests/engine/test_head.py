"""The head's turn, as the landmarks see it in frames."""

import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.head import HeadTurn, is_still
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.portrait import Portrait, WarpEngine
from photoanimer_async.engine.shapes import FaceMotion


@pytest.fixture(scope="module", params=["astronaut", "grace_hopper"])
def picture(request: pytest.FixtureRequest) -> Picture:
    found: Picture = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def face(face_finder: FaceFinder, picture: Picture) -> Face:
    return face_finder.find(picture)[0]


@pytest.fixture(scope="module")
def portrait(picture: Picture, face: Face) -> Portrait:
    return WarpEngine().prepare(picture, face)


def turned_to_the_right(face: Face) -> float:
    """Where the nose lies between the ears, 0 to 1."""
    points = face.landmarks[:, 0]
    left, nose, right = points[[lm.SIDE_LEFT, lm.NOSE_TIP, lm.SIDE_RIGHT]]
    return float((nose - left) / (right - left))


def nodded(face: Face) -> float:
    """Where the nose lies between forehead and chin, 0 to 1."""
    points = face.landmarks[:, 1]
    top, nose, bottom = points[[lm.FOREHEAD, lm.NOSE_TIP, lm.CHIN]]
    return float((nose - top) / (bottom - top))


def test_yaw_turns_the_face_to_the_right_of_the_picture(
    portrait: Portrait, face_finder: FaceFinder
) -> None:
    seen = [
        turned_to_the_right(face_finder.find(portrait.frame({"headYaw": yaw}))[0])
        for yaw in (-12.0, -6.0, 0.0, 6.0, 12.0)
    ]
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] > 0.08


def test_pitch_nods_down(portrait: Portrait, face_finder: FaceFinder) -> None:
    seen = [
        nodded(face_finder.find(portrait.frame({"headPitch": pitch}))[0])
        for pitch in (-8.0, 0.0, 8.0)
    ]
    assert seen == sorted(seen)


@pytest.mark.parametrize("degrees", [-4.0, 4.0])
def test_roll_tilts_the_eyes_by_its_angle(
    portrait: Portrait, face_finder: FaceFinder, face: Face, degrees: float
) -> None:
    tilted = face_finder.find(portrait.frame({"headRoll": degrees}))[0]
    assert np.degrees(tilted.roll - face.roll) == pytest.approx(degrees, abs=1.0)


def test_the_head_moves_by_what_is_asked(
    portrait: Portrait, face_finder: FaceFinder, face: Face
) -> None:
    moved = face_finder.find(portrait.frame({"headX": 0.1, "headY": -0.05}))[0]
    by = (moved.landmarks[:, :2] - face.landmarks[:, :2]).mean(axis=0) / face.eye_distance
    assert by == pytest.approx([0.1, -0.05], abs=0.025)


def test_zoom_brings_the_face_nearer(
    portrait: Portrait, face_finder: FaceFinder, face: Face
) -> None:
    near = face_finder.find(portrait.frame({"headZoom": 0.06}))[0]
    assert near.eye_distance / face.eye_distance == pytest.approx(1.06, abs=0.02)


def test_hair_moves_with_the_head_but_less_than_the_nose(picture: Picture, face: Face) -> None:
    frame = FaceFrame.of(face.landmarks)
    pose = HeadTurn.of(face.landmarks, frame, picture).posed({"headYaw": 8.0})
    forehead, nose = face.landmarks[[lm.FOREHEAD, lm.NOSE_TIP], :2]
    hair = forehead - 0.25 * frame.unit * frame.axes[:2, 1]
    assert 0.02 * frame.unit < pose.moved(hair)[0] < pose.moved(nose)[0]


@pytest.mark.parametrize("motion", [{}, {"jawOpen": 1.0}, {"headYaw": 0.0}])
def test_a_still_head_has_no_field(picture: Picture, face: Face, motion: FaceMotion) -> None:
    pose = HeadTurn.of(face.landmarks, FaceFrame.of(face.landmarks), picture).posed(motion)
    assert is_still(motion)
    assert pose.box is None
    assert not pose.moved(np.array([100.0, 100.0])).any()
