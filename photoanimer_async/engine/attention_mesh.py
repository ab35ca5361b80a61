"""The network that measures the landmarks of a face in a square.

The attention mesh has a square of 192 px as input, in which the face is upright and fills two
thirds of the side. It returns 478 landmarks, and the log-odds that the square shows a face at all.
"""

import math

import cv2
import numpy as np
from attrs import frozen
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.detection import Detection
from photoanimer_async.engine.networks import LANDMARKS, load_network
from photoanimer_async.engine.picture import Picture

_SIDE = 192
_SQUARE_SCALE = 1.5
"""Side of the square relative to the face's box."""

_MAX_DENSITY = 1.5
"""Photo pixels per input pixel above which the photo is shrunk first, against aliasing."""


@frozen(eq=False)
class MeshReading:
    """What the network returns for one square.

    Attributes:
        points: The landmarks in photo pixels, shape (478, 3), see `Face.landmarks`.
        log_odds: Log-odds that the square shows a face.
    """

    points: Array
    log_odds: float

    @property
    def score(self) -> float:
        """Probability that the square shows a face."""
        return 1 / (1 + math.exp(-self.log_odds))

    @property
    def eye_distance(self) -> float:
        """Distance of the outer corners of the eyes, in pixels."""
        return float(np.hypot(*self._across_eyes))

    @property
    def roll(self) -> float:
        """Angle of the line through the outer corners of the eyes, in radians, clockwise."""
        across = self._across_eyes
        return float(np.arctan2(across[1], across[0]))

    @property
    def _across_eyes(self) -> Array:
        return np.asarray(self.points[lm.EYE_RIGHT_OUTER, :2] - self.points[lm.EYE_LEFT_OUTER, :2])

    def distance(self, other: "MeshReading") -> float:
        """Return the mean distance of the landmarks of both, relative to the eye distance."""
        offsets = self.points[:, :2] - other.points[:, :2]
        return float(np.hypot(offsets[:, 0], offsets[:, 1]).mean() / max(self.eye_distance, 1e-6))


@frozen(eq=False)
class FaceSquare:
    """A square in the photo: centre (2,) and side in pixels, clockwise angle in radians."""

    centre: Array
    side: float
    angle: float

    @classmethod
    def around_detection(cls, detection: Detection) -> "FaceSquare":
        """Return the square for a detected face."""
        return cls(detection.centre, _SQUARE_SCALE * float(detection.size.max()), detection.roll)

    @classmethod
    def around_reading(cls, reading: MeshReading) -> "FaceSquare":
        """Return the square for a face with measured landmarks."""
        rotation = _rotation(reading.roll)
        upright = reading.points[: lm.MESH_COUNT, :2] @ rotation
        low, high = upright.min(axis=0), upright.max(axis=0)
        return cls(
            (low + high) / 2 @ rotation.T, _SQUARE_SCALE * float((high - low).max()), reading.roll
        )

    def turned(self, radians: float) -> "FaceSquare":
        """Return the square turned clockwise about its centre."""
        return FaceSquare(self.centre, self.side, self.angle + radians)

    def to_photo(self) -> Array:
        """Return the affine map, shape (2, 3), from input pixels to photo pixels."""
        linear = _rotation(self.angle) * (self.side / _SIDE)
        return np.column_stack([linear, self.centre - linear @ np.full(2, (_SIDE - 1) / 2)])

    def cut_from(self, picture: Picture) -> Picture:
        """Return the upright content, shape (192, 192, 3); black outside the photo."""
        to_photo = self.to_photo()
        shrink = self.side / _SIDE / _MAX_DENSITY
        if shrink > 1:
            picture, to_photo = self._shrunk(picture, to_photo, shrink)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        square = cv2.warpAffine(
            picture, to_photo, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_CONSTANT
        )
        return np.asarray(square, np.uint8)

    def _shrunk(self, picture: Picture, to_photo: Array, shrink: float) -> tuple[Picture, Array]:
        """Return the photo around the square, shrunk by averaging, and the map into it."""
        height, width = picture.shape[:2]
        reach = self.side * 0.75
        left, top = np.clip((self.centre - reach).astype(int), 0, [width - 1, height - 1])
        right, bottom = np.clip((self.centre + reach).astype(int), [left + 1, top + 1], None)
        part = picture[top:bottom, left:right]
        size = tuple(max(1, round(length / shrink)) for length in part.shape[1::-1])
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        scale = np.array(size) / part.shape[1::-1]
        into = to_photo * scale[:, None]
        into[:, 2] += (0.5 - np.array([left, top])) * scale - 0.5
        return np.asarray(small, np.uint8), into


def _rotation(angle: float) -> Array:
    """Return the rotation by an angle in radians, clockwise in a picture, shape (2, 2)."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


class AttentionMesh:
    """The network that measures landmarks."""

    def __init__(self) -> None:
        """Load the network."""
        self.session = load_network(LANDMARKS)

    def measure(self, picture: Picture, square: FaceSquare) -> MeshReading | None:
        """Return the landmarks of the face in a square, or None if there is none at all."""
        contents = square.cut_from(picture).astype(np.float32) / 255
        names = [output.name.partition(":")[0] for output in self.session.get_outputs()]
        try:
            values = self.session.run(None, {self.session.get_inputs()[0].name: contents[None]})
        except InvalidArgument:
            # The model crops squares around eyes and lips itself. It fails if they are outside of
            # its input, and then there is no face.
            return None
        outputs = dict(zip(names, values, strict=True))
        points = _assembled(outputs)
        to_photo = square.to_photo()
        points[:, :2] -= 0.5  # the model's origin is the corner, not the pixel centre
        points[:, :2] = points[:, :2] @ to_photo[:, :2].T + to_photo[:, 2]
        points[:, 2] *= square.side / _SIDE
        return MeshReading(points, float(outputs["conv_faceflag"].item()))


def _assembled(outputs: dict[str, Floats]) -> Array:
    """Return all landmarks in input pixels: the mesh, with refined lips and eyes."""
    points = np.zeros((lm.COUNT, 3))
    points[: lm.MESH_COUNT] = outputs["output_mesh_identity"].reshape(lm.MESH_COUNT, 3)
    for name, group in (
        ("output_lips", lm.REFINED_LIPS),
        ("output_left_eye", lm.REFINED_EYE_LEFT),
        ("output_right_eye", lm.REFINED_EYE_RIGHT),
        ("output_left_iris", lm.IRIS_LEFT),
        ("output_right_iris", lm.IRIS_RIGHT),
    ):
        points[list(group), :2] = outputs[name].reshape(len(group), 2)
    for iris, lids in (
        (lm.IRIS_LEFT, lm.EYE_LEFT_UPPER + lm.EYE_LEFT_LOWER),
        (lm.IRIS_RIGHT, lm.EYE_RIGHT_UPPER + lm.EYE_RIGHT_LOWER),
    ):
        points[list(iris), 2] = points[list(lids), 2].mean()
    return points
