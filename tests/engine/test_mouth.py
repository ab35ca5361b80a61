"""The mouth, as the landmarks see it in frames, and what is drawn in it."""

import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.mouth import Mouth
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.portrait import Portrait, WarpEngine
from photoanimer_async.engine.shapes import FaceMotion, Shapes, skin_coefficients


def opening(face: Face) -> float:
    """Distance of the lips by that of the eyes' outer corners."""
    top, bottom = face.landmarks[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], :2]
    return float(np.linalg.norm(bottom - top)) / face.eye_distance


def width(face: Face) -> float:
    left, right = face.landmarks[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT], :2]
    return float(np.linalg.norm(right - left)) / face.eye_distance


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


def mouth_of(picture: Picture, face: Face) -> Mouth:
    frame = FaceFrame.of(face.landmarks)
    return Mouth.of(picture, face.landmarks, frame, Shapes.of(frame.local))


def test_the_jaw_opens_the_mouth_the_more_the_further_it_drops(
    portrait: Portrait, face_finder: FaceFinder
) -> None:
    seen = [
        opening(face_finder.find(portrait.frame({"jawOpen": jaw}))[0])
        for jaw in (0.0, 0.2, 0.4, 0.6)
    ]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] + 0.1


def test_a_kiss_narrows_and_a_smile_widens_the_mouth(
    portrait: Portrait, face_finder: FaceFinder, face: Face
) -> None:
    kiss = face_finder.find(portrait.frame({"mouthPucker": 0.9}))[0]
    smile = face_finder.find(portrait.frame({"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}))[0]
    assert width(kiss) < 0.85 * width(face)
    assert width(smile) > 1.1 * width(face)


def test_lips_that_smile_can_close(face_finder: FaceFinder, astronaut: Picture) -> None:
    face = face_finder.find(astronaut)[0]
    closed = WarpEngine().prepare(astronaut, face).frame({"mouthClose": 1.0, "mouthPucker": 0.9})
    assert opening(face_finder.find(closed)[0]) < 0.35 * opening(face)


def test_a_smile_lifts_the_corners_and_a_frown_lowers_them(
    portrait: Portrait, face_finder: FaceFinder
) -> None:
    def corners(motion: FaceMotion) -> float:
        points = face_finder.find(portrait.frame(motion))[0].landmarks
        ends = points[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT], 1].mean()
        return float(ends - points[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], 1].mean())

    def both(name: str) -> FaceMotion:
        return {f"{name}Left": 1.0, f"{name}Right": 1.0}

    assert corners(both("mouthSmile")) < corners({}) < corners(both("mouthFrown"))


def test_lips_at_rest_are_the_landmarks_own(picture: Picture, face: Face) -> None:
    lips = mouth_of(picture, face).lips(skin_coefficients({}))
    assert lips.parted == pytest.approx(0, abs=0.5)
    assert lips.jaw == pytest.approx(0, abs=1e-6)
    assert (lips.lower >= lips.upper).all()
    assert lips.still
    assert not mouth_of(picture, face).lips(skin_coefficients({"jawOpen": 0.1})).still


def test_an_open_mouth_is_dark_within_and_has_teeth(
    face_finder: FaceFinder, grace_hopper: Picture
) -> None:
    face = face_finder.find(grace_hopper)[0]
    frame = WarpEngine().prepare(grace_hopper, face).frame({"jawOpen": 0.7})
    opened = face_finder.find(frame)[0].landmarks
    x = round(float(opened[lm.LIP_INNER_TOP, 0])) + 5
    top, bottom = opened[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], 1]
    column = frame[round(top) : round(bottom), x].mean(axis=-1)
    teeth = column[: max(3, len(column) // 3)].max()
    assert teeth > 1.7 * column.min()
    assert column.min() < 70


def test_own_teeth_stay_while_the_jaw_drops(face_finder: FaceFinder, astronaut: Picture) -> None:
    face = face_finder.find(astronaut)[0]
    frame = WarpEngine().prepare(astronaut, face).frame({"jawOpen": 0.4})
    top, bottom = face.landmarks[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], :2]
    x, y = ((top + bottom) / 2).round().astype(int)
    own, shown = (image[y - 1 : y + 2, x - 4 : x + 5].astype(int) for image in (astronaut, frame))
    assert np.abs(own - shown).mean() < 8


def test_teeth_are_as_light_as_the_photo(face_finder: FaceFinder, grace_hopper: Picture) -> None:
    def lightest(picture: Picture) -> float:
        face = face_finder.find(picture)[0]
        frame = WarpEngine().prepare(picture, face).frame({"jawOpen": 0.5, "mouthUpperUp": 0.6})
        x, y = face.landmarks[lm.LIP_INNER_TOP, :2].round().astype(int)
        return float(frame[y : y + 8, x - 10 : x + 10].mean(axis=-1).max())

    assert lightest(grace_hopper // 3) < 0.5 * lightest(grace_hopper)
