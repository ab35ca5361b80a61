import numpy as np
import pytest

from photoanimer_async.engine.face import FaceFinder
from photoanimer_async.engine.fields import Lip
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shapes import EYES, HEAD, NAMES, SKIN, Shapes, skin_coefficients
from photoanimer_async.engine.skin import Skin


@pytest.fixture(scope="module")
def frame(face_finder: FaceFinder, astronaut: Picture) -> FaceFrame:
    return FaceFrame.of(face_finder.find(astronaut)[0].landmarks)


@pytest.fixture(scope="module")
def shapes(frame: FaceFrame) -> Shapes:
    return Shapes.of(frame.local)


def grid(step: float = 0.05) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Points over and around a face, (N, 2), in u."""
    axis = np.arange(-2.5, 3, step)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def test_every_coefficient_has_a_meaning_and_belongs_to_one_part() -> None:
    assert set(NAMES) == set(SKIN) | set(EYES) | set(HEAD)
    assert len(NAMES) == len(SKIN) + len(EYES) + len(HEAD)
    assert all(NAMES.values())


def test_paired_shapes_have_both_sides() -> None:
    for name in NAMES:
        if name.endswith("Left"):
            assert name.removesuffix("Left") + "Right" in NAMES


@pytest.mark.parametrize("lip", Lip)
def test_fields_are_finite_and_of_the_size_of_expressions(shapes: Shapes, lip: Lip) -> None:
    fields = shapes.fields(grid(), lip)
    assert fields.shape == (len(SKIN), len(grid()), 3)
    assert np.isfinite(fields).all()
    assert np.abs(fields).max() < 0.5


def test_every_shape_moves_something(shapes: Shapes) -> None:
    strongest = np.maximum(*(np.abs(shapes.fields(grid(), lip)).max(axis=(1, 2)) for lip in Lip))
    assert (strongest > 0.02).all()


def test_both_sides_of_the_lips_agree_away_from_the_mouth(shapes: Shapes, frame: FaceFrame) -> None:
    eyes = frame.local[[33, 133, 362, 263], :2]
    upper, lower = (shapes.fields(eyes, lip) for lip in Lip)
    assert np.abs(upper - lower).max() < 0.01


def test_the_jaw_takes_the_lower_lip_down_and_leaves_the_upper_one(
    shapes: Shapes, frame: FaceFrame
) -> None:
    jaw = list(SKIN).index("jawOpen")
    top = shapes.fields(frame.local[[13], :2], Lip.UPPER)[jaw, 0]
    bottom = shapes.fields(frame.local[[14], :2], Lip.LOWER)[jaw, 0]
    assert bottom[1] > 0.25
    assert abs(top[1]) < 0.05


@pytest.mark.parametrize(("name", "corner"), [("mouthSmileLeft", 61), ("mouthSmileRight", 291)])
def test_a_smile_lifts_the_corner_of_its_own_side(
    shapes: Shapes, frame: FaceFrame, name: str, corner: int
) -> None:
    other = 61 + 291 - corner
    moved, still = shapes.fields(frame.local[[corner, other], :2], Lip.UPPER)[
        list(SKIN).index(name)
    ]
    assert moved[1] < -0.05
    assert np.sign(moved[0]) == np.sign(frame.local[corner, 0])
    assert np.abs(still).max() < 0.01


def test_missing_coefficients_are_zero() -> None:
    assert not skin_coefficients({}).any()
    assert skin_coefficients({"jawOpen": 0.5, "headYaw": 3}).sum() == 0.5


def test_the_frame_undoes_scale_and_roll(face_finder: FaceFinder, astronaut: Picture) -> None:
    landmarks = face_finder.find(astronaut)[0].landmarks
    angle = 2.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = np.column_stack([landmarks[:, :2] @ turn.T, landmarks[:, 2]]) * 1.7
    there, here = FaceFrame.of(turned), FaceFrame.of(landmarks)
    assert there.unit == pytest.approx(1.7 * here.unit)
    assert there.local == pytest.approx(here.local, abs=1e-6)
    assert there.locate(turned[:, :2]) == pytest.approx(here.locate(landmarks[:, :2]), abs=0.02)


def test_pixels_are_located_where_the_landmarks_are(
    face_finder: FaceFinder, astronaut: Picture, frame: FaceFrame
) -> None:
    landmarks = face_finder.find(astronaut)[0].landmarks
    error = frame.locate(landmarks[:468, :2]) - frame.local[:468, :2]
    assert np.sqrt((error**2).mean()) < 0.05


def test_shapes_fade_before_the_border_of_the_lattice(
    face_finder: FaceFinder, astronaut: Picture, frame: FaceFrame, shapes: Shapes
) -> None:
    skin = Skin.of(face_finder.find(astronaut)[0].landmarks, frame, shapes)
    pose = skin.posed(np.ones(len(SKIN), np.float32))
    for lip in Lip:
        field = pose.sample(lip, skin.lattice.nodes())
        border = np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]])
        assert np.abs(border).max() < 1e-3
        steepest = max(np.abs(np.diff(field[:3], axis=0)).max(), np.abs(field[1]).max())
        assert steepest < 0.02 * frame.unit
