"""Detection of glasses."""

import cv2
import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.glasses import glasses_confidence, hidden_eyes
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine


def with_dark_glasses(picture: Picture, face: Face) -> Picture:
    result = picture.copy()
    for eye in ((lm.EYE_LEFT_OUTER, lm.EYE_LEFT_INNER), (lm.EYE_RIGHT_INNER, lm.EYE_RIGHT_OUTER)):
        centre = face.landmarks[list(eye), :2].mean(axis=0).round().astype(int).tolist()
        radius = round(0.24 * face.eye_distance)
        cv2.circle(result, (centre[0], centre[1]), radius, (12, 12, 14), -1, cv2.LINE_AA)
    return result


def test_glasses_are_detected(
    face_finder: FaceFinder, astronaut: Picture, grace_hopper: Picture
) -> None:
    for picture, worn in ((astronaut, 0.0), (grace_hopper, 1.0)):
        face = face_finder.find(picture)[0]
        assert glasses_confidence(picture, face.landmarks, face.eye_distance) == worn


def test_eyes_behind_clear_glasses_are_visible(
    grace_hopper_face: Face, grace_hopper: Picture
) -> None:
    face = grace_hopper_face
    assert hidden_eyes(grace_hopper, face.landmarks, face.eye_distance) == (False, False)


def test_eyes_behind_dark_glasses_do_not_blink(astronaut_face: Face, astronaut: Picture) -> None:
    face = astronaut_face
    picture = with_dark_glasses(astronaut, face)
    assert hidden_eyes(picture, face.landmarks, face.eye_distance) == (True, True)
    portrait = WarpEngine().prepare(picture, face)
    blinked = portrait.frame({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "gazeX": 0.5})
    assert np.array_equal(blinked, picture)
