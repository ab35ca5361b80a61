"""Which way up a face is: portraits in every rotation."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine.attention_mesh import AttentionMesh, FaceSquare, MeshReading
from photoanimer_async.engine.detection import Detection, FaceDetector
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture

ROTATIONS = range(0, 360, 15)
QUICK = {0, 45, 165, 300}
PORTRAITS = ("astronaut", "face_only", "grace_hopper", "small", "dark")
"""Five portraits in 24 rotations: 120 pairs."""

PAIRS = [
    pytest.param(name, degrees, marks=() if degrees in QUICK else pytest.mark.slow)
    for name in PORTRAITS
    for degrees in ROTATIONS
]


@pytest.fixture(scope="session")
def portraits(
    astronaut: Picture, astronaut_face: Face, grace_hopper: Picture, grace_hopper_face: Face
) -> dict[str, tuple[Picture, Face]]:
    """Return each portrait with its face, as measured upright in the original photo."""
    x, y = (round(value) for value in astronaut_face.centre)
    reach = round(0.62 * (astronaut_face.box[3] - astronaut_face.box[1]))
    scale = 24 / (grace_hopper_face.box[3] - grace_hopper_face.box[1])
    small = cv2.resize(grace_hopper, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    room = np.full((320, 320, 3), 120, np.uint8)
    room[120 : 120 + small.shape[0], 130 : 130 + small.shape[1]] = small
    return {
        "astronaut": (astronaut, astronaut_face),
        "face_only": (
            astronaut[y - reach : y + reach, x - reach : x + reach],
            astronaut_face.moved(reach - x, reach - y),
        ),
        "grace_hopper": (grace_hopper, grace_hopper_face),
        "small": (room, grace_hopper_face.scaled(scale, scale).moved(130, 120)),
        "dark": ((grace_hopper * 0.25).astype(np.uint8), grace_hopper_face),
    }


def rotation(picture: Picture, degrees: float) -> tuple[tuple[int, int], NDArray[np.float64]]:
    """Return the size of a picture rotated clockwise, and the affine map into it, shape (2, 3)."""
    height, width = picture.shape[:2]
    affine = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1)
    across, down = np.abs(affine[:, :2]) @ (width, height)
    size = round(across), round(down)
    affine[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return size, np.asarray(affine, np.float64)


@pytest.mark.parametrize(("name", "degrees"), PAIRS)
def test_no_face_is_measured_the_wrong_way_up(
    portraits: dict[str, tuple[Picture, Face]], face_finder: FaceFinder, name: str, degrees: int
) -> None:
    picture, upright = portraits[name]
    size, affine = rotation(picture, degrees)
    turned = np.asarray(cv2.warpAffine(picture, affine, size, flags=cv2.INTER_CUBIC), np.uint8)
    (face,) = face_finder.find(turned)
    expected = upright.landmarks[:, :2] @ affine[:, :2].T + affine[:, 2]
    offsets = face.landmarks[:, :2] - expected
    assert np.hypot(*offsets.T).mean() < 0.15 * upright.eye_distance


@pytest.mark.parametrize("degrees", [90, 180])
def test_a_face_that_was_detected_another_way_up_is_turned(
    degrees: int,
    astronaut: Picture,
    astronaut_face: Face,
    face_finder: FaceFinder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (true,) = next(FaceDetector().searches(astronaut))
    (cosine, sine) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about = true.key_points - true.centre
    wrong = true.centre + about @ np.array([[cosine, sine], [-sine, cosine]])
    detection = Detection(true.score, true.centre, true.size, wrong)
    monkeypatch.setattr(FaceDetector, "searches", lambda *_: iter([[detection]]))
    (face,) = face_finder.find(astronaut)
    offsets = face.landmarks[:, :2] - astronaut_face.landmarks[:, :2]
    assert np.hypot(*offsets.T).mean() < 0.05 * astronaut_face.eye_distance


def test_a_face_whose_way_up_is_doubtful_is_refused(
    grace_hopper: Picture, grace_hopper_face: Face, face_finder: FaceFinder
) -> None:
    x, y = round(grace_hopper_face.centre[0]), round(grace_hopper_face.centre[1])
    face = grace_hopper[y - 120 : y, x - 120 : x + 120]
    both = np.concatenate([face, face[::-1, ::-1]])  # like the queen in a pack of cards
    assert face_finder.find(both) == []


def test_an_upright_face_needs_no_more_than_two_readings(
    grace_hopper: Picture, face_finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, squares = AttentionMesh.measure, []

    def record(mesh: AttentionMesh, picture: Picture, square: FaceSquare) -> MeshReading | None:
        squares.append(square)
        return measure(mesh, picture, square)

    monkeypatch.setattr(AttentionMesh, "measure", record)
    face_finder.find(grace_hopper)
    assert len(squares) == 2
