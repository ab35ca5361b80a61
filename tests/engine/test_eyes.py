"""Eyes, measured by landmarks in frames."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.engines import Portrait
from photoanimer_async.engine.eye_outline import EyeOutline
from photoanimer_async.engine.eyes import Eye
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box
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


def prepared(picture: Picture, face: Face, side: str) -> Eye:
    texture = PhotoTexture.of(picture, face.landmarks, face.eye_distance)
    eye = Eye.of(picture, EyeOutline.of(face.landmarks, side), texture)
    assert eye is not None
    return eye


def test_an_open_eye_is_unchanged(picture: Picture, face: Face) -> None:
    eye = prepared(picture, face, "Left")
    assert eye.is_still({"eyeBlinkRight": 1.0, "jawOpen": 1.0})
    assert not eye.is_still({"gazeY": 0.1})
    patch = eye.render({})
    assert not patch.shift.any()
    target = picture[patch.box.slices].copy()
    place = patch.box.pixels() - np.array([patch.box.left, patch.box.top], np.float32)
    patch.paint(target, place, place)
    assert np.array_equal(target, picture[patch.box.slices])


@pytest.mark.parametrize("motion", [{"eyeBlinkRight": 1.0}, {"eyeBlinkRight": -0.3}])
def test_a_patch_fades_at_the_borders_of_its_box(
    picture: Picture, face: Face, motion: FaceMotion
) -> None:
    patch = prepared(picture, face, "Right").render(motion)
    before = picture[patch.box.slices]
    target = before.copy()
    place = patch.box.pixels() - np.array([patch.box.left, patch.box.top], np.float32)
    patch.paint(target, place, place)
    assert (target != before).any()
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.abs(patch.shift[border]).max() < 0.6
        assert cv2.absdiff(target[border], before[border]).max() <= 12


def test_a_squint_does_not_bend_the_lower_rims_of_glasses(
    astronaut: Picture, astronaut_face: Face
) -> None:
    texture = PhotoTexture.of(astronaut, astronaut_face.landmarks, astronaut_face.eye_distance)
    outline = EyeOutline.of(astronaut_face.landmarks, "Left")
    moved = []
    for glasses in (0.0, 1.0):
        eye = Eye.of(astronaut, outline, texture, glasses)
        assert eye is not None
        patch = eye.render({"eyeSquintLeft": 1.0})
        local = (patch.box.pixels()[:: patch.step, :: patch.step] - outline.centre) @ outline.turn
        lower = outline.lower(local[..., 0].astype(np.float32))
        rim = local[..., 1] > lower + 0.20 * outline.width
        moved.append(np.abs(patch.shift[rim]).max())
    assert moved[1] < 0.2
    assert moved[0] > 2 * moved[1]


def made_up(picture: Picture, face: Face) -> Picture:
    """Draw dark lines along the upper lids."""
    drawn = picture.copy()
    for lid in (lm.EYE_LEFT_UPPER, lm.EYE_RIGHT_UPPER):
        line = (face.landmarks[list(lid), :2] * 16).round().astype(np.int32)
        thick = max(1, round(0.02 * face.eye_distance))
        cv2.polylines(drawn, [line], False, (20, 14, 12), thick, cv2.LINE_AA, 4)
    return drawn


def enlarged(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC))


def darkened(picture: Picture) -> Picture:
    return np.asarray(picture * np.array([0.42, 0.36, 0.32]), np.uint8)


def skin_colour(over: NDArray[np.float32], under: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median colour of skin over and under an eye, without rims and glare of glasses."""
    typical = np.median(under[:, 0])
    pixels = np.concatenate([over, under])
    return np.asarray(np.median(pixels[np.abs(pixels[:, 0] / typical - 1) < 0.2], axis=0))


LOOKS: dict[str, Callable[[Picture, Face], Picture]] = {
    "plain": lambda picture, face: picture,
    "dark": lambda picture, face: darkened(picture),
    "grey": lambda picture, face: np.repeat(picture[..., 1:2], 3, axis=2),
    "made up": made_up,
}


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("large", [False, True], ids=["", "large"])
def test_a_closed_lid_has_the_colour_and_texture_of_the_skin_around(
    picture: Picture, face: Face, look: str, *, large: bool
) -> None:
    photo, landmarks = LOOKS[look](picture, face), face.landmarks
    if large:
        photo, landmarks = enlarged(photo), landmarks * 2.5
    seen = Face(landmarks, face.score) if large else face
    frame = WarpEngine().prepare(photo, seen).frame(dict.fromkeys(BOTH, 1.0))
    lab = np.asarray(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    fine = np.abs(lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 0.02 * seen.eye_distance))
    for side in ("Left", "Right"):
        outline = EyeOutline.of(landmarks, side)
        box = Box.around(outline.centre, 0.8 * outline.width)
        local = (box.pixels() - outline.centre) @ outline.turn / outline.width
        x, y = local[..., 0], local[..., 1]
        along = (x * outline.width).astype(np.float32)
        upper, lower = outline.upper(along) / outline.width, outline.lower(along) / outline.width
        lid = (np.abs(x) < 0.25) & (y > upper) & (y < upper + 0.6 * (lower - upper))
        over = (np.abs(x) < 0.45) & (y > upper - 0.26) & (y < upper - 0.10)
        under = (np.abs(x) < 0.45) & (y < lower + 0.34) & (y > lower + 0.12)
        colours, structure = lab[box.slices], fine[box.slices]
        around = skin_colour(colours[over], colours[under])
        assert np.linalg.norm(np.median(colours[lid], axis=0) - around) < 6
        assert structure[lid].mean() > 0.5 * np.median(structure[under])


@pytest.mark.slow
def test_an_iris_stays_round_in_surprise(astronaut: Picture, astronaut_face: Face) -> None:
    """Its upper part, which the lid uncovers, continues the circle of the visible part."""
    factor = 8
    crop = astronaut[40:240, 120:320]
    photo = np.asarray(cv2.resize(crop, None, fx=factor, fy=factor), np.uint8)
    landmarks = (astronaut_face.landmarks - [120, 40, 0]) * factor
    blue = np.array([10, 20, 250])
    for side in ("Left", "Right"):
        outline = EyeOutline.of(landmarks, side)
        # An iris that the upper lid covers down to half of its upper part.
        radius = 0.20 * outline.width
        centre = outline.centre + outline.turn @ np.array(
            [0, float(outline.upper(np.zeros(1, np.float32))[0]) + 0.5 * radius]
        )
        grid = Box.of(photo).pixels()
        local = (grid - outline.centre) @ outline.turn
        along = local[..., 0].astype(np.float32)
        inside = (local[..., 1] > outline.upper(along)) & (np.abs(along) < outline.width / 2)
        eye = inside & (local[..., 1] < outline.lower(along))
        photo[eye] = (235, 230, 225)
        photo[eye & (np.linalg.norm(grid - centre, axis=-1) < radius)] = blue
        iris = lm.IRIS_LEFT if side == "Left" else lm.IRIS_RIGHT
        landmarks[list(iris), :2] = centre + radius * np.array(
            [[0, 0], [1, 0], [0, -1], [-1, 0], [0, 1]]
        )
    seen = Face(landmarks, astronaut_face.score)
    frame = WarpEngine().prepare(photo, seen).frame(dict.fromkeys(BOTH, -0.3))
    for side, iris in (("Left", lm.IRIS_LEFT), ("Right", lm.IRIS_RIGHT)):
        centre, radius = landmarks[iris[0], :2], 0.20 * EyeOutline.of(landmarks, side).width
        offset = Box.of(photo).pixels() - centre
        near = np.linalg.norm(offset, axis=-1) < 1.5 * radius
        found, before = (
            offset[near & (picture[..., 2] > 2.0 * picture[..., 0])] for picture in (frame, photo)
        )
        assert found[:, 1].min() < before[:, 1].min() - 0.15 * radius  # more of it is visible
        # At each height, it is as wide as a circle is there.
        for height in np.arange(-0.6, 0.3, 0.1) * radius:
            width = np.count_nonzero(np.abs(found[:, 1] - height) < 1.5) / 3
            assert abs(width / (2 * np.sqrt(radius**2 - height**2)) - 1) < 0.05


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_an_eye_outside_of_the_photo_is_left_out(
    grace_hopper: Picture, grace_hopper_face: Face, side: str
) -> None:
    outline = EyeOutline.of(grace_hopper_face.landmarks, side)
    border = round(outline.centre[0] - outline.outwards * outline.width)
    shown = slice(border, None) if side == "Left" else slice(0, border)
    part, face = grace_hopper[:, shown], grace_hopper_face.moved(-(shown.start or 0), 0)
    texture = PhotoTexture.of(part, face.landmarks, face.eye_distance)
    assert Eye.of(part, EyeOutline.of(face.landmarks, side), texture) is None
    portrait = WarpEngine().prepare(np.ascontiguousarray(part), face)
    assert (portrait.frame(dict.fromkeys(BOTH, -0.3)) != part).any()


@pytest.mark.parametrize("closed", [0.85, 1.0])
def test_eyes_that_are_shut_in_the_photo_stay_as_they_are(
    astronaut: Picture, astronaut_face: Face, face_finder: FaceFinder, closed: float
) -> None:
    engine = WarpEngine()
    shut = engine.prepare(astronaut, astronaut_face).frame(dict.fromkeys(BOTH, closed))
    portrait = engine.prepare(shut, face_finder.find(shut)[0])
    for motion in (dict.fromkeys(BOTH, 1.0), dict.fromkeys(BOTH, -0.3), {"gazeX": 0.5}):
        assert np.array_equal(portrait.frame(motion), shut)


def test_a_narrow_eye_beside_a_shut_one_stays_too_and_a_winkers_open_eye_closes(
    astronaut: Picture, astronaut_face: Face, face_finder: FaceFinder
) -> None:
    engine = WarpEngine()
    portrait = engine.prepare(astronaut, astronaut_face)
    for narrowed, closes in ((0.68, False), (0.2, True)):
        photo = portrait.frame({"eyeBlinkLeft": 1.0, "eyeBlinkRight": narrowed})
        again = engine.prepare(photo, face_finder.find(photo)[0])
        blink = again.frame(dict.fromkeys(BOTH, 1.0))
        assert np.array_equal(blink, photo) != closes
