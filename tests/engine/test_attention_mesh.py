"""The network that measures landmarks, and the squares in which it does."""

import cv2
import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.attention_mesh import AttentionMesh, FaceSquare, MeshReading
from photoanimer_async.engine.detection import FaceDetector
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture

SIDE = 192


@pytest.fixture(scope="module")
def mesh() -> AttentionMesh:
    return AttentionMesh()


def square_of(face: Face, log_odds: float = 5.0) -> FaceSquare:
    return FaceSquare.around_reading(MeshReading(face.landmarks, log_odds))


def mean_distance(reading: MeshReading | None, face: Face) -> float:
    """Return the mean distance of the landmarks of both, relative to the eye distance."""
    assert reading is not None
    return MeshReading(face.landmarks, 0.0).distance(reading)


class TestSquares:
    @pytest.mark.parametrize("degrees", [0, 30, -90, 180])
    def test_the_middle_of_the_input_is_the_centre(self, degrees: int) -> None:
        square = FaceSquare(np.array([70.0, 40.0]), 96.0, np.radians(degrees))
        to_photo = square.to_photo()
        middle = to_photo @ [(SIDE - 1) / 2, (SIDE - 1) / 2, 1]
        assert middle == pytest.approx([70, 40])
        right, down = to_photo[:, 0], to_photo[:, 1]
        assert np.hypot(*right) == pytest.approx(96 / SIDE)
        assert right @ down == pytest.approx(0)
        clockwise = np.degrees(np.arctan2(right[1], right[0]))
        assert np.exp(1j * np.radians(clockwise - degrees)) == pytest.approx(1)

    @pytest.mark.parametrize("degrees", [0, 40, 135])
    @pytest.mark.parametrize("side", [100.0, 900.0])
    def test_contents_are_upright(self, degrees: int, side: float) -> None:
        """A spot towards the top of the tilted square is at the top of what is cut out."""
        square = FaceSquare(np.array([500.0, 480.0]), side, np.radians(degrees))
        up = side / 4 * np.array([np.sin(square.angle), -np.cos(square.angle)])
        spot = (square.centre + up).round().astype(int).tolist()
        picture = np.zeros((1000, 1000, 3), np.uint8)
        cv2.circle(picture, spot, round(side / 20), (255, 255, 255), -1)
        cut = square.cut_from(picture)
        assert cut.shape == (SIDE, SIDE, 3)
        y, x = np.argwhere(cut[..., 0] > 128).mean(axis=0)
        assert (x, y) == pytest.approx(((SIDE - 1) / 2, (SIDE - 1) / 2 - SIDE / 4), abs=1.5)

    def test_it_is_black_outside_of_the_photo(self) -> None:
        cut = FaceSquare(np.array([0.0, 50.0]), 90.0, 0.0).cut_from(
            np.full((100, 100, 3), 200, np.uint8)
        )
        assert cut[:, : SIDE // 2 - 2].max() == 0
        assert cut[:, SIDE // 2 + 2 :].min() == 200

    def test_a_large_square_is_shrunk_by_averaging(self) -> None:
        stripes = np.zeros((2000, 2000, 3), np.uint8)
        stripes[::2] = 200
        cut = FaceSquare(np.array([1000.0, 1000.0]), 1600.0, 0.0).cut_from(stripes)
        assert np.abs(cut.astype(int) - 100).max() <= 10

    def test_a_turned_square_has_the_same_centre_and_side(self) -> None:
        square = FaceSquare(np.array([10.0, 20.0]), 50.0, 0.3)
        turned = square.turned(np.pi / 2)
        assert turned.angle == pytest.approx(0.3 + np.pi / 2)
        assert turned.side == square.side
        assert np.array_equal(turned.centre, square.centre)

    @pytest.mark.parametrize("degrees", [0, 25, 160])
    def test_the_square_around_a_face_turns_with_it(
        self, degrees: int, grace_hopper_face: Face
    ) -> None:
        before = square_of(grace_hopper_face)
        turn = np.radians(degrees)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        landmarks = grace_hopper_face.landmarks.copy()
        landmarks[:, :2] = landmarks[:, :2] @ rotation.T
        after = square_of(Face(landmarks, 1.0))
        assert after.side == pytest.approx(before.side)
        assert after.centre == pytest.approx(rotation @ before.centre)
        assert np.exp(1j * (after.angle - before.angle)) == pytest.approx(np.exp(1j * turn))


class TestReadings:
    def test_the_score_is_the_probability_of_the_log_odds(self) -> None:
        nothing = np.zeros((lm.COUNT, 3))
        assert MeshReading(nothing, 0.0).score == 0.5
        assert MeshReading(nothing, np.log(3)).score == pytest.approx(0.75)

    def test_the_eyes_tell_size_and_roll(self) -> None:
        points = np.zeros((lm.COUNT, 3))
        points[lm.EYE_RIGHT_OUTER] = [30, 40, 9]
        reading = MeshReading(points, 0.0)
        assert reading.eye_distance == pytest.approx(50)
        assert reading.roll == pytest.approx(np.arctan2(40, 30))
        moved = MeshReading(points + np.array([3, 4, 0]), 0.0)
        assert moved.distance(reading) == pytest.approx(5 / 50)


class TestMeasuring:
    def test_a_detected_face_is_measured(
        self, mesh: AttentionMesh, picture: Picture, face: Face
    ) -> None:
        detection = next(FaceDetector().searches(picture))[0]
        reading = mesh.measure(picture, FaceSquare.around_detection(detection))
        assert reading is not None
        assert reading.score > 0.99
        assert reading.points.shape == (lm.COUNT, 3)
        assert mean_distance(reading, face) < 0.05

    def test_irises_are_between_the_corners_of_their_eyes(
        self, mesh: AttentionMesh, picture: Picture, face: Face
    ) -> None:
        reading = mesh.measure(picture, square_of(face))
        assert reading is not None
        for iris, lids in (
            (lm.IRIS_LEFT, lm.EYE_LEFT_UPPER + lm.EYE_LEFT_LOWER),
            (lm.IRIS_RIGHT, lm.EYE_RIGHT_UPPER + lm.EYE_RIGHT_LOWER),
        ):
            eye, centre = reading.points[list(lids)], reading.points[list(iris)].mean(axis=0)
            assert eye[:, 0].min() < centre[0] < eye[:, 0].max()
            assert reading.points[list(iris), 2] == pytest.approx(eye[:, 2].mean())

    @pytest.mark.parametrize("scale", [0.5, 3.0])
    def test_landmarks_scale_with_the_photo(
        self, mesh: AttentionMesh, grace_hopper: Picture, grace_hopper_face: Face, scale: float
    ) -> None:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        photo = np.asarray(
            cv2.resize(grace_hopper, None, fx=scale, fy=scale, interpolation=how), np.uint8
        )
        face = grace_hopper_face.scaled(scale, scale)
        reading = mesh.measure(photo, square_of(face))
        assert mean_distance(reading, face) < 0.03
        assert reading is not None
        depth = np.ptp(reading.points[: lm.MESH_COUNT, 2])
        assert depth == pytest.approx(np.ptp(face.landmarks[: lm.MESH_COUNT, 2]), rel=0.1)

    def test_a_square_that_is_a_little_off_measures_the_same(
        self, mesh: AttentionMesh, grace_hopper: Picture, grace_hopper_face: Face
    ) -> None:
        square = square_of(grace_hopper_face)
        moved = FaceSquare(square.centre + 0.05 * square.side, square.side * 1.1, 0.1)
        assert mean_distance(mesh.measure(grace_hopper, moved), grace_hopper_face) < 0.05

    def test_a_plain_wall_is_no_face(self, mesh: AttentionMesh) -> None:
        wall = np.full((300, 300, 3), 140, np.uint8)
        reading = mesh.measure(wall, FaceSquare(np.array([150.0, 150.0]), 200.0, 0.0))
        assert reading is None or reading.score < 0.5

    def test_a_crop_outside_of_the_input_is_no_face(
        self, mesh: AttentionMesh, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The model itself crops eyes and lips, and fails where there are none."""

        class Session:
            get_inputs, get_outputs = mesh.session.get_inputs, mesh.session.get_outputs

            def run(self, *_: object) -> None:
                raise InvalidArgument("CropAndResize: box out of bounds")

        monkeypatch.setattr(mesh, "session", Session())
        square = FaceSquare(np.array([50.0, 50.0]), 60.0, 0.0)
        assert mesh.measure(np.zeros((100, 100, 3), np.uint8), square) is None
