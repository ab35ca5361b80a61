import cv2
import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.glasses import glasses, hidden_eyes
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.portrait import WarpEngine
from photoanimer_async.engine.shapes import SKIN, Shapes
from photoanimer_async.engine.skin import Skin


def with_dark_glasses(picture: Picture, face: Face) -> Picture:
    result = picture.copy()
    for eye in ((lm.EYE_LEFT_OUTER, lm.EYE_LEFT_INNER), (lm.EYE_RIGHT_INNER, lm.EYE_RIGHT_OUTER)):
        centre = face.landmarks[list(eye), :2].mean(axis=0).round().astype(int).tolist()
        radius = round(0.24 * face.eye_distance)
        cv2.circle(result, (centre[0], centre[1]), radius, (12, 12, 14), -1, cv2.LINE_AA)
    return result


def test_glasses_are_seen_and_a_bare_face_is_bare(
    face_finder: FaceFinder, astronaut: Picture, grace_hopper: Picture
) -> None:
    for picture, worn in ((astronaut, 0.0), (grace_hopper, 1.0)):
        face = face_finder.find(picture)[0]
        assert glasses(picture, face.landmarks, face.eye_distance) == worn


def test_clear_glasses_hide_no_eyes(face_finder: FaceFinder, grace_hopper: Picture) -> None:
    face = face_finder.find(grace_hopper)[0]
    assert hidden_eyes(grace_hopper, face.landmarks, face.eye_distance) == (False, False)


def test_eyes_behind_dark_glasses_do_not_blink(face_finder: FaceFinder, astronaut: Picture) -> None:
    face = face_finder.find(astronaut)[0]
    picture = with_dark_glasses(astronaut, face)
    assert hidden_eyes(picture, face.landmarks, face.eye_distance) == (True, True)
    portrait = WarpEngine().prepare(picture, face)
    blinked = portrait.frame({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "gazeX": 0.5})
    assert np.array_equal(blinked, picture)


def test_rims_bend_less_than_brows(face_finder: FaceFinder, astronaut: Picture) -> None:
    landmarks = face_finder.find(astronaut)[0].landmarks
    frame = FaceFrame.of(landmarks)
    raised = np.array([name.startswith("browUp") for name in SKIN], np.float32)
    brow = landmarks[lm.BROW_LEFT_UPPER[2], :2]
    bare, worn = (
        Skin.of(landmarks, frame, Shapes.of(frame.local), worn).posed(raised).moved(brow)[1]
        for worn in (0.0, 1.0)
    )
    assert bare / 2 < worn < 0
