"""Faces: 478 landmarks in pixels of the photo.

The attention mesh is a network with a square of 192 px as input, in which the face is upright and
fills two thirds of the side. The first square is placed by the detector's box and eyes, the second
by the landmarks measured in the first (*refinement*).

Detections may be false. The network returns a score that the square shows a face at all (its
*flag*). A detection is accepted if this score is high enough, and if eyes, nose and mouth are near
the detector's key points.
"""

import itertools
import math
from collections.abc import Iterable

import cv2
import numpy as np
import onnxruntime
from attrs import define, frozen
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.detection import Detection, FaceDetector, onnx_session
from photoanimer_async.engine.picture import Picture

MIN_FLAG = 0.8
"""Minimum flag of a face, 0 to 1. Profiles reach 0.97; false detections mostly stay below 0.3."""

MAX_DISAGREEMENT = 0.22
"""Maximum mean distance between key points and landmarks, relative to the face's size."""

_SIDE = 192
_SQUARE_SCALE = 1.5
"""Side of the square relative to the face's box."""

_REFINEMENTS = 1
_MAX_DENSITY = 1.5
"""Photo pixels per input pixel above which the photo is shrunk first, against aliasing."""


@frozen(eq=False)
class Face:
    """One person's face.

    Attributes:
        landmarks: Shape (478, 3): x, y in pixels of the photo (pixel centres at integers), z in
            the same unit, negative towards the camera. For the indices see `landmarks.py`.
        score: Confidence that this is a face, 0 to 1.
    """

    landmarks: NDArray[np.float64]
    score: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the landmarks, in pixels."""
        left, top = self.landmarks[: lm.MESH_COUNT, :2].min(axis=0).tolist()
        right, bottom = self.landmarks[: lm.MESH_COUNT, :2].max(axis=0).tolist()
        return left, top, right, bottom

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box, in pixels."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def area(self) -> float:
        """Area of the box, in square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)

    @property
    def eye_distance(self) -> float:
        """Distance of the outer corners of the eyes, in pixels."""
        across = self.landmarks[lm.EYE_RIGHT_OUTER, :2] - self.landmarks[lm.EYE_LEFT_OUTER, :2]
        return float(np.hypot(*across))

    @property
    def roll(self) -> float:
        """Angle of the line through the outer corners of the eyes, in radians, clockwise."""
        across = self.landmarks[lm.EYE_RIGHT_OUTER, :2] - self.landmarks[lm.EYE_LEFT_OUTER, :2]
        return float(np.arctan2(across[1], across[0]))

    def contains(self, point: tuple[float, float]) -> bool:
        """Return whether a point is in the box."""
        left, top, right, bottom = self.box
        return left <= point[0] <= right and top <= point[1] <= bottom

    def scaled(self, across: float, down: float) -> "Face":
        """Return the face in the photo scaled by these factors."""
        factors = np.array([across, down, (across + down) / 2])
        to_edge = np.array([0.5, 0.5, 0])  # pixel centres are at integers, edges at halves
        return Face((self.landmarks + to_edge) * factors - to_edge, self.score)

    def moved(self, x: float, y: float) -> "Face":
        """Return the face moved by some pixels."""
        return Face(self.landmarks + np.array([x, y, 0]), self.score)


@frozen(eq=False)
class _Square:
    """A square in the photo: centre (2,) and side in pixels, clockwise angle in radians."""

    centre: NDArray[np.float64]
    side: float
    angle: float

    @classmethod
    def around_detection(cls, detection: Detection) -> "_Square":
        return cls(detection.centre, _SQUARE_SCALE * float(detection.size.max()), detection.roll)

    @classmethod
    def around_face(cls, face: Face) -> "_Square":
        rotation = _rotation(face.roll)
        upright = face.landmarks[: lm.MESH_COUNT, :2] @ rotation
        low, high = upright.min(axis=0), upright.max(axis=0)
        return cls(
            (low + high) / 2 @ rotation.T, _SQUARE_SCALE * float((high - low).max()), face.roll
        )

    def to_photo(self) -> NDArray[np.float64]:
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

    def _shrunk(
        self, picture: Picture, to_photo: NDArray[np.float64], shrink: float
    ) -> tuple[Picture, NDArray[np.float64]]:
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


def _rotation(angle: float) -> NDArray[np.float64]:
    """Return the rotation by an angle in radians, clockwise in a picture, shape (2, 2)."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@define(eq=False)
class AttentionMesh:
    """The network that measures landmarks."""

    session: onnxruntime.InferenceSession

    @classmethod
    def load(cls, threads: int) -> "AttentionMesh":
        """Load the model."""
        return cls(onnx_session("face_mesh_attention_478.onnx", threads))

    def measure(self, picture: Picture, detection: Detection) -> Face | None:
        """Return the landmarks of a detected face, or None if the network finds no face there."""
        face = self._measure_square(picture, _Square.around_detection(detection))
        for _ in range(_REFINEMENTS):
            if face is not None:
                face = self._measure_square(picture, _Square.around_face(face))
        return face

    def _measure_square(self, picture: Picture, square: _Square) -> Face | None:
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
        logit = float(outputs["conv_faceflag"].item())
        return Face(points, score=1 / (1 + math.exp(-logit)))


def _assembled(outputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
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


class FaceFinder:
    """Finds faces and measures their landmarks. The models are loaded once, at construction."""

    def __init__(self, threads: int = 1) -> None:
        """Load the models; `threads` is the number of threads for each."""
        self._detector = FaceDetector.load(threads)
        self._mesh = AttentionMesh.load(threads)

    def find(self, picture: Picture) -> list[Face]:
        """Return the faces that the first successful search finds, the largest first.

        Faces are found in any rotation and down to 5 % of the picture's longest side. If there
        are large faces, the search ends before much smaller ones are found: see `find_all`.

        Args:
            picture: RGB, shape (H, W, 3).

        Returns:
            The faces; empty if there are none.
        """
        for detections in self._detector.searches(picture):
            if found := self._measure_all(picture, detections):
                return found
        return []

    def find_all(self, picture: Picture) -> list[Face]:
        """Return all faces, also small ones beside large ones, the largest first.

        Slower than `find`.
        """
        searches = self._detector.searches(picture)
        return self._measure_all(picture, itertools.chain.from_iterable(searches))

    def _measure_all(self, picture: Picture, detections: Iterable[Detection]) -> list[Face]:
        """Return the accepted faces, each once, by its detection with the least disagreement."""
        accepted = []
        for detection in detections:
            face = self._mesh.measure(picture, detection)
            if face is not None and face.score >= MIN_FLAG:
                disagreement = _disagreement(face, detection)
                if disagreement <= MAX_DISAGREEMENT:
                    accepted.append((disagreement, face))
        distinct: list[Face] = []
        for _, face in sorted(accepted, key=lambda measured: measured[0]):
            if not any(_same_person(face, other) for other in distinct):
                distinct.append(face)
        return sorted(distinct, key=lambda face: -face.area)


def _disagreement(face: Face, detection: Detection) -> float:
    """Return the mean distance of key points and landmarks, relative to the face's size."""
    points = face.landmarks[[lm.IRIS_LEFT[0], lm.IRIS_RIGHT[0], lm.NOSE_TIP, lm.LIP_INNER_TOP], :2]
    offsets = points - detection.key_points[:4]
    return float(np.hypot(offsets[:, 0], offsets[:, 1]).mean() / detection.size.max())


def _same_person(one: Face, other: Face) -> bool:
    return one.contains(other.centre) or other.contains(one.centre)
