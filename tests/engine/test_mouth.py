"""The mouth, measured by landmarks in frames."""

from collections.abc import Callable

import cv2
import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshape_fields import Lip
from photoanimer_async.engine.blendshapes import SKIN, Blendshapes, FaceMotion
from photoanimer_async.engine.expressions import HEAD_SHAKE, KISS, LAUGHTER, WINK, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.face_coordinates import FaceCoordinates
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


def at_largest(template: int, name: str) -> FaceMotion:
    """Return the moment of a template at which a coefficient is largest."""
    return max(motion(template, seed=0), key=lambda moment: moment.get(name, 0.0))


def test_laughter_opens_the_mouth_wide(find_in_frame: Callable[[FaceMotion], Face]) -> None:
    assert opening(find_in_frame(at_largest(LAUGHTER.template, "jawOpen"))) >= 0.28


def test_the_eyes_laugh_too(find_in_frame: Callable[[FaceMotion], Face], face: Face) -> None:
    def height(seen: Face) -> float:
        pairs = seen.landmarks[[159, 145, 386, 374], :2]
        return float(np.linalg.norm(pairs[::2] - pairs[1::2], axis=1).sum()) / seen.eye_distance

    laughing = at_largest(LAUGHTER.template, "jawOpen")
    assert height(find_in_frame(laughing)) < 0.8 * height(face)
    assert min(laughing[f"cheekSquint{side}"] for side in ("Left", "Right")) > 0.8


def test_the_grin_parts_closed_lips(find_in_frame: Callable[[FaceMotion], Face]) -> None:
    grin = at_largest(HEAD_SHAKE.template, "mouthSmileLeft")
    assert opening(find_in_frame(grin)) > 0.05


def test_the_wink_has_its_cheek(find_in_frame: Callable[[FaceMotion], Face], face: Face) -> None:
    """The cheek under the eye that winks rises, and the other one does not."""

    def height(seen: Face, cheek: int, outer: int) -> float:
        up = seen.landmarks[lm.FOREHEAD, :2] - seen.landmarks[lm.CHIN, :2]
        up /= np.linalg.norm(up)
        across = seen.landmarks[cheek, :2] - seen.landmarks[outer, :2]
        return float(across @ up) / seen.eye_distance

    wink = at_largest(WINK.template, "eyeBlinkLeft")
    winking = find_in_frame({n: v for n, v in wink.items() if not n.startswith("head")})
    left, right = (
        height(winking, cheek, outer) - height(face, cheek, outer)
        for cheek, outer in ((205, lm.EYE_LEFT_OUTER), (425, lm.EYE_RIGHT_OUTER))
    )
    assert left > 0.02
    assert left > 1.5 * right


def test_lips_close_before_they_kiss(
    astronaut_face: Face, face_finder: FaceFinder, astronaut: Picture
) -> None:
    """The astronaut smiles with open lips."""
    moments = motion(KISS.template, seed=0)
    begin = next(at for at, each in enumerate(moments) if each.get("mouthPucker", 0) > 0.1)
    portrait = WarpEngine().prepare(astronaut, astronaut_face)
    before, kiss = (
        face_finder.find(portrait.frame(moment))[0]
        for moment in (moments[begin], at_largest(KISS.template, "mouthPucker"))
    )
    for seen in (before, kiss):
        assert opening(seen) < 0.35 * opening(astronaut_face)
    assert width(kiss) < 0.72 * width(astronaut_face)
    corners = kiss.landmarks[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT], 1].mean()
    middle = kiss.landmarks[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], 1].mean()
    assert abs(corners - middle) < 0.05 * kiss.eye_distance


def test_a_kiss_from_a_smile_shows_both_lips(astronaut: Picture, astronaut_face: Face) -> None:
    points, photo = astronaut_face.landmarks[:, :2] * 4, np.repeat(astronaut, 4, axis=0)
    photo = np.asarray(np.repeat(photo, 4, axis=1), np.uint8)
    for outer, inner, colour in (
        (lm.LIPS_OUTER_UPPER, lm.LIPS_INNER_UPPER, (250, 0, 0)),
        (lm.LIPS_OUTER_LOWER, lm.LIPS_INNER_LOWER, (0, 250, 0)),
    ):
        outline = points[[*outer, *inner[::-1]]].round().astype(np.int32)
        cv2.fillPoly(photo, [outline], colour)
    face = astronaut_face.scaled(4, 4)
    portrait = WarpEngine().prepare(photo, face)

    def heights(frame: Picture) -> tuple[float, float]:
        """Return the height of the upper and of the lower lip in the middle, in u."""
        x = round(float(points[lm.LIP_INNER_TOP, 0]))
        nose, chin = points[[lm.NOSE_TIP, lm.CHIN], 1].round().astype(int)
        column = frame[nose:chin, x - 2 : x + 3].astype(int).mean(axis=1)
        others = column[:, [1, 0]] + 80
        upper, lower = (column[:, :2] > others).sum(axis=0) / face.eye_distance
        return float(upper), float(lower)

    resting, closed, kissing = (
        heights(portrait.frame(motion))
        for motion in ({}, {"mouthClose": 1.0}, {"mouthClose": 1.0, "mouthPucker": 1.0})
    )
    assert min(closed[lip] / resting[lip] for lip in (0, 1)) > 0.65
    assert kissing[0] > 1.5 * resting[0]
    assert kissing[1] > resting[1]


def test_a_laugh_shows_one_row_of_teeth(
    picture: Picture, face: Face, face_finder: FaceFinder
) -> None:
    large = np.asarray(cv2.resize(picture, None, fx=2, fy=2), np.uint8)
    seen = Face(face.landmarks * 2, face.score)
    laughing = WarpEngine().prepare(large, seen).frame({"jawOpen": 0.7, "mouthUpperUp": 0.5})
    points = face_finder.find(laughing)[0].landmarks
    top, bottom = points[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], 1]
    light = laughing[..., 1].astype(float)
    for x in points[[82, 13, 312], 0]:  # in the middle, and on both sides of it
        column = light[round(top) : round(bottom), round(x) - 2 : round(x) + 3].mean(axis=1)
        inside = column[round(0.05 * len(column)) : -round(0.1 * len(column))]
        bright = inside > (inside.min() + inside.max()) / 2
        assert np.count_nonzero(np.diff(bright.astype(int)) == 1) <= 1
        assert not bright[len(bright) // 2 :].any()


def test_a_drawn_mouth_has_the_grain_of_the_photo(
    grace_hopper: Picture, grace_hopper_face: Face
) -> None:
    def roughness(strength: float) -> tuple[float, float]:
        """Return the fine structure of the drawn teeth and of a cheek."""
        noise = np.random.default_rng(3).standard_normal((*grace_hopper.shape[:2], 1))
        smooth = cv2.GaussianBlur(grace_hopper, (0, 0), 1.5)
        photo = np.clip(smooth + strength * noise, 0, 255).astype(np.uint8)
        frame = WarpEngine().prepare(photo, grace_hopper_face).frame({"jawOpen": 0.6})
        light = frame.astype(np.float32).mean(axis=2)
        fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.5))
        x, y = grace_hopper_face.landmarks[lm.LIP_INNER_TOP, :2].round().astype(int)
        mouth, cheek = fine[y + 8 : y + 18, x - 12 : x + 12], fine[y - 50 : y - 30, x - 50 : x - 30]
        return float(np.median(mouth)), float(np.median(cheek))

    clean, noisy = roughness(0.0), roughness(12.0)
    grain = np.sqrt(max(noisy[0] ** 2 - clean[0] ** 2, 0))
    assert grain > 0.3 * noisy[1]


def test_a_mouth_in_a_faded_photo_is_no_darker_and_no_lighter_than_the_face(
    grace_hopper: Picture, grace_hopper_face: Face
) -> None:
    faded = np.asarray(100 + 0.4 * grace_hopper, np.uint8)
    x, y = grace_hopper_face.landmarks[lm.LIP_INNER_TOP, :2].round().astype(int)
    frame = WarpEngine().prepare(faded, grace_hopper_face).frame({"jawOpen": 0.7})
    mouth = cv2.GaussianBlur(frame, (0, 0), 1.5)[y : y + 30, x - 15 : x + 15].mean(axis=2)
    left, top, right, bottom = (round(value) for value in grace_hopper_face.box)
    face = faded[top:bottom, left:right].mean(axis=2)
    assert mouth.min() > np.quantile(face, 0.01) - 3
    assert mouth.max() < np.quantile(face, 0.99) + 3


def test_the_edge_of_a_drawn_mouth_is_as_blurred_as_the_photo(
    grace_hopper: Picture, grace_hopper_face: Face
) -> None:
    def steepest(photo: Picture) -> float:
        portrait = WarpEngine().prepare(photo, grace_hopper_face)
        before, after = (
            cv2.GaussianBlur(frame, (0, 0), 0.7).astype(np.float32).mean(axis=2)
            for frame in (photo, portrait.frame({"jawOpen": 0.7}))
        )
        x, y = grace_hopper_face.landmarks[lm.LIP_INNER_TOP, :2].round().astype(int)
        drawn = (after - before)[y - 10 : y + 50, x - 8 : x + 8]
        return float(np.abs(np.diff(drawn, axis=0)).max())

    blurred = np.asarray(cv2.GaussianBlur(grace_hopper, (0, 0), 3.0), np.uint8)
    assert steepest(blurred) < 0.75 * steepest(grace_hopper)


def parted(face: Face, by: float) -> Face:
    """Return a face whose lower lip is lower by some u."""
    landmarks = face.landmarks.copy()
    landmarks[list(lm.LIPS_INNER_LOWER[2:-2]), 1] += by * face.eye_distance
    return Face(landmarks, face.score)


def test_lips_that_are_hardly_parted_open_on_drawn_teeth(
    grace_hopper: Picture, grace_hopper_face: Face
) -> None:
    """What the photo shows between them is kept until then, and not stretched."""
    face, photo = parted(grace_hopper_face, 0.06), grace_hopper.copy()
    inner = face.landmarks[[*lm.LIPS_INNER_UPPER, *lm.LIPS_INNER_LOWER[-2:0:-1]], :2]
    green = (0, 160, 0)
    cv2.fillPoly(photo, [inner.round().astype(np.int32)], green)
    portrait = WarpEngine().prepare(photo, face)
    x, y = face.landmarks[lm.LIP_INNER_TOP, :2].round().astype(int)

    def green_pixels(motion: FaceMotion) -> int:
        part = portrait.frame(motion)[y - 5 : y + 60, x - 30 : x + 30].astype(int)
        return int((part[..., 1] > part[..., 0] + 60).sum())

    assert green_pixels({"eyeBlinkLeft": 1.0}) > 100
    assert green_pixels({"jawOpen": 0.6}) < 0.3 * green_pixels({"eyeBlinkLeft": 1.0})


def test_a_lip_that_shows_teeth_in_the_photo_rises_less(
    astronaut_face: Face, grace_hopper_face: Face
) -> None:
    def rise(face: Face) -> float:
        coordinates = FaceCoordinates.of(face.landmarks)
        blendshapes = Blendshapes.of(coordinates.local)
        lip = coordinates.local[[lm.LIP_INNER_TOP], :2]
        return -float(blendshapes.fields(lip, Lip.UPPER)[list(SKIN).index("mouthUpperUp"), 0, 1])

    assert 0 < rise(astronaut_face) < 0.7 * rise(grace_hopper_face)
