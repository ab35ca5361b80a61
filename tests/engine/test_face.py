"""Finding faces and measuring their landmarks."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.engines import Portrait
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture


def angle_between(one: float, other: float) -> float:
    """Return the smaller angle in degrees between two angles in radians."""
    return float(np.degrees(np.abs(np.angle(np.exp(1j * (one - other))))))


def test_landmarks_of_a_portrait(face_finder: FaceFinder, astronaut: Picture) -> None:
    (face,) = face_finder.find(astronaut)
    assert face.landmarks.shape == (478, 3)
    assert face.score > 0.99
    assert face.centre == pytest.approx((226, 123), abs=4)
    assert face.eye_distance == pytest.approx(61, abs=3)
    points = face.landmarks
    left_eye, right_eye = points[lm.IRIS_LEFT[0]], points[lm.IRIS_RIGHT[0]]
    assert left_eye[0] < points[lm.NOSE_TIP][0] < right_eye[0]
    assert left_eye[1] < points[lm.NOSE_TIP][1] < points[lm.CHIN][1]
    assert points[lm.NOSE_TIP][2] < points[lm.SIDE_LEFT][2]  # nearer to the camera


@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_a_face_is_found_in_any_rotation(
    grace_hopper_face: Face, face_finder: FaceFinder, grace_hopper: Picture, degrees: int
) -> None:
    turned = np.asarray(Image.fromarray(grace_hopper).rotate(-degrees, expand=True))
    (face,) = face_finder.find(turned)
    upright = grace_hopper_face
    assert angle_between(face.roll, upright.roll + np.radians(degrees)) < 4
    assert face.eye_distance == pytest.approx(upright.eye_distance, rel=0.05)


@pytest.mark.parametrize("part", [0.4, 0.2, 0.1, 0.05])
def test_a_face_is_found_down_to_5_percent(
    face_finder: FaceFinder, grace_hopper: Picture, part: float
) -> None:
    side = 2000
    scale = side * part / 190  # the face is 190 px wide
    width, height = (round(length * scale) for length in (512, 600))
    photo = Image.new("RGB", (side, side), (120, 130, 140))
    photo.paste(Image.fromarray(grace_hopper).resize((width, height)), (500, 700))
    (face,) = face_finder.find(np.asarray(photo))
    expected = 500 + 261 * scale, 700 + 232 * scale
    assert face.centre == pytest.approx(expected, abs=0.05 * side * part + 2)


def test_landmarks_of_a_mirrored_photo_are_mirrored(
    face_finder: FaceFinder, astronaut: Picture
) -> None:
    (face,) = face_finder.find(astronaut)
    (mirrored,) = face_finder.find(np.ascontiguousarray(astronaut[:, ::-1]))
    back = astronaut.shape[1] - 1 - mirrored.landmarks[: lm.MESH_COUNT, 0]
    assert back.mean() == pytest.approx(face.landmarks[: lm.MESH_COUNT, 0].mean(), abs=0.5)


@pytest.mark.parametrize("degrees", [-15.0, 15.0])
def test_a_turned_head_has_its_yaw_and_the_opposite_one_in_a_mirror(
    face_finder: FaceFinder, portrait: Portrait, degrees: float
) -> None:
    turned = portrait.frame({"headYaw": degrees})
    (face,), (mirrored,) = (
        face_finder.find(np.ascontiguousarray(seen)) for seen in (turned, turned[:, ::-1])
    )
    assert np.degrees(face.yaw) == pytest.approx(degrees, abs=6)
    assert np.degrees(mirrored.yaw) == pytest.approx(-degrees, abs=6)


def test_faces_are_ordered_by_size(
    face_finder: FaceFinder, astronaut: Picture, grace_hopper: Picture
) -> None:
    photo = np.zeros((600, 1024, 3), np.uint8)
    photo[:512, :512] = astronaut
    photo[:, 512:] = grace_hopper
    large, small = face_finder.find(photo)
    assert large.area > small.area
    assert large.centre[0] > 512 > small.centre[0]


@pytest.mark.slow
def test_find_all_finds_small_faces_beside_large_ones(
    face_finder: FaceFinder, astronaut: Picture, grace_hopper: Picture
) -> None:
    photo = Image.new("RGB", (1600, 1200), "grey")
    photo.paste(Image.fromarray(grace_hopper).resize((1024, 1200)), (0, 0))
    photo.paste(Image.fromarray(astronaut).resize((380, 380)), (1150, 700))
    faces = face_finder.find_all(np.asarray(photo))
    assert len(faces) == 2
    assert faces[1].centre == pytest.approx((1150 + 226 * 0.742, 700 + 123 * 0.742), abs=8)


def faceless() -> Iterator[tuple[str, Picture]]:
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(400), np.arange(300))
    noise = rng.integers(0, 256, (300, 400, 3))
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    image = Image.new("RGB", (400, 300), (150, 190, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 180, 400, 300), fill=(60, 120, 50))
    draw.ellipse((280, 30, 340, 90), fill=(250, 230, 90))
    draw.polygon([(60, 190), (140, 60), (230, 190)], fill=(110, 100, 95))
    page = Image.new("RGB", (400, 300), "white")
    for line in range(20, 290, 14):
        for word in range(20, 360, 48):
            length = int(rng.integers(15, 42))
            ImageDraw.Draw(page).rectangle((word, line, word + length, line + 6), fill="black")
    yield "plain", np.full((300, 400, 3), 127, np.uint8)
    yield "black", np.zeros((300, 400, 3), np.uint8)
    yield "gradient", np.dstack([x * 255 // 400, y * 255 // 300, x // 2]).astype(np.uint8)
    yield "noise", noise.astype(np.uint8)
    yield "clouds", np.asarray(coarse.resize((400, 300), Image.Resampling.BICUBIC))
    yield "checks", np.repeat((x // 25 + y // 25)[..., None] % 2 * 255, 3, 2).astype(np.uint8)
    yield (
        "rings",
        np.repeat(np.sin(np.hypot(x - 200, y - 150) / 6)[..., None] * 90 + 128, 3, 2).astype(
            np.uint8
        ),
    )
    yield "landscape", np.asarray(image)
    yield "page", np.asarray(page)
    yield "strip", noise[:3].astype(np.uint8)
    yield "dot", noise[:1, :1].astype(np.uint8)


FACELESS = dict(faceless())
QUICK = {"noise", "landscape", "page", "dot"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FACELESS],
)
def test_no_face_is_found_in_pictures_without_faces(face_finder: FaceFinder, name: str) -> None:
    assert face_finder.find_all(FACELESS[name]) == []


def test_a_face_can_be_scaled_and_moved_with_its_photo() -> None:
    landmarks = np.zeros((478, 3))
    landmarks[:] = [9.5, 19.5, 4]  # on the edge between two pixels
    scaled = Face(landmarks, 1).scaled(0.5, 0.25)
    assert scaled.landmarks[0].tolist() == [4.5, 4.5, 1.5]
    assert Face(landmarks, 1).moved(1, -2).landmarks[0].tolist() == [10.5, 17.5, 4]
