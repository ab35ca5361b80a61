"""Eyes, measured by landmarks in frames."""

from collections.abc import Callable

import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.engines import Portrait
from photoanimer_async.engine.eyes import Eye
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine

BOTH = ("eyeBlinkLeft", "eyeBlinkRight")


def opening(face: Face, side: str) -> float:
    """Return the height of an eye relative to its width."""
    upper, lower = {
        "Left": (lm.EYE_LEFT_UPPER, lm.EYE_LEFT_LOWER),
        "Right": (lm.EYE_RIGHT_UPPER, lm.EYE_RIGHT_LOWER),
    }[side]
    points = face.landmarks[:, :2]
    height = np.linalg.norm(points[list(upper[2:-2])] - points[list(lower[2:-2])], axis=1).mean()
    return float(height / np.linalg.norm(points[upper[0]] - points[upper[-1]]))


def test_a_blink_closes_both_eyes(find_in_frame: Callable[[FaceMotion], Face], face: Face) -> None:
    closed = find_in_frame(dict.fromkeys(BOTH, 1.0))
    half = find_in_frame(dict.fromkeys(BOTH, 0.5))
    for side in ("Left", "Right"):
        assert opening(closed, side) < 0.45 * opening(face, side)
        assert opening(closed, side) < opening(half, side) < 0.9 * opening(face, side)


def test_a_wink_closes_one_eye_only(
    find_in_frame: Callable[[FaceMotion], Face], face: Face
) -> None:
    winked = find_in_frame({"eyeBlinkLeft": 1.0})
    assert opening(winked, "Left") < 0.6 * opening(face, "Left")
    assert opening(winked, "Right") > 0.8 * opening(face, "Right")


def test_eyes_open_wide(find_in_frame: Callable[[FaceMotion], Face], face: Face) -> None:
    wide = find_in_frame(dict.fromkeys(BOTH, -0.3))
    assert opening(wide, "Left") + opening(wide, "Right") > 1.05 * (
        opening(face, "Left") + opening(face, "Right")
    )


def test_a_squint_narrows_the_eyes(portrait: Portrait, face_finder: FaceFinder, face: Face) -> None:
    frame = portrait.frame({"eyeSquintLeft": 1.0, "eyeSquintRight": 1.0})
    squinted = face_finder.find(frame)[0]
    assert opening(squinted, "Left") + opening(squinted, "Right") < 0.97 * (
        opening(face, "Left") + opening(face, "Right")
    )


def test_the_gaze_moves_the_irises(find_in_frame: Callable[[FaceMotion], Face]) -> None:
    def iris(gaze: float) -> float:
        points = find_in_frame({"gazeX": gaze}).landmarks
        left = points[lm.IRIS_LEFT[0], 0] - points[[lm.EYE_LEFT_OUTER, lm.EYE_LEFT_INNER], 0].mean()
        ends = points[[lm.EYE_RIGHT_OUTER, lm.EYE_RIGHT_INNER], 0]
        return float(left + points[lm.IRIS_RIGHT[0], 0] - ends.mean())

    assert iris(-0.6) < iris(0) < iris(0.6)


def test_an_open_eye_is_unchanged(picture: Picture, face: Face) -> None:
    eye = Eye.left(picture, face.landmarks)
    assert eye.is_still({"eyeBlinkRight": 1.0, "jawOpen": 1.0})
    assert not eye.is_still({"gazeY": 0.1})
    patch = eye.render({})
    assert not patch.shift.any()
    assert patch.layer is None


def test_a_patch_fades_at_the_borders_of_its_box(picture: Picture, face: Face) -> None:
    patch = Eye.right(picture, face.landmarks).render({"eyeBlinkRight": 1.0})
    assert patch.layer is not None
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.abs(patch.shift[border]).max() < 0.6
        assert patch.layer[border].max() <= 12


def test_lids_are_as_light_as_the_skin_around(picture: Picture, face: Face) -> None:
    frame = WarpEngine().prepare(picture, face).frame(dict.fromkeys(BOTH, 1.0))
    points = face.landmarks
    for iris, lower in ((468, 145), (473, 374)):
        x, y = points[iris, :2].round().astype(int)
        lid = frame[y - 1 : y + 1, x - 2 : x + 3].mean()
        below = points[lower, 1] + 0.12 * face.eye_distance
        cheek = picture[round(below) - 1 : round(below) + 2, x - 2 : x + 3].mean()
        assert 0.6 < lid / cheek < 1.4
