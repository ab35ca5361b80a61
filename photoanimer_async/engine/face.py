"""Faces: 478 landmarks in pixels of the photo.

The detector's box and eyes place the square in which `attention_mesh` measures the landmarks, and
`face_orientation` decides which way up the face is.

Detections may be false. The mesh returns a score that the square shows a face at all. A detection
is accepted if this score is high enough, and if eyes, nose and mouth are near the detector's key
points.
"""

import itertools
from collections.abc import Iterable

import numpy as np
from attrs import frozen

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array
from photoanimer_async.engine.attention_mesh import AttentionMesh, FaceSquare
from photoanimer_async.engine.detection import Detection, FaceDetector
from photoanimer_async.engine.face_orientation import UprightReading, measure_upright
from photoanimer_async.engine.picture import Picture

MIN_SCORE = 0.8
"""Minimum score of a face, 0 to 1. Profiles reach 0.97; false detections mostly stay below 0.3."""

MAX_DISAGREEMENT = 0.22
"""Maximum mean distance between key points and landmarks, relative to the face's size."""

MAX_OFFSET = 0.35
"""Maximum distance between the middle of a face and of its detection, relative to its size."""


@frozen(eq=False)
class Face:
    """One person's face.

    Attributes:
        landmarks: Shape (478, 3): x, y in pixels of the photo (pixel centres at integers), z in
            the same unit, negative towards the camera. For the indices see `landmarks.py`.
        score: Confidence that this is a face, 0 to 1.
    """

    landmarks: Array
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

    @property
    def yaw(self) -> float:
        """How far the face is turned to the picture's right, in radians, by its depth.

        The mesh is flatter than a face, so large angles are too small by up to a half.
        """
        across = self.landmarks[lm.SIDE_RIGHT] - self.landmarks[lm.SIDE_LEFT]
        return float(np.arctan2(across[2], np.hypot(across[0], across[1])))

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


class FaceFinder:
    """Finds faces and measures their landmarks."""

    def __init__(self) -> None:
        """Load the networks, unless this process has already loaded them."""
        self._detector, self._mesh = FaceDetector(), AttentionMesh()

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

    def find_all(self, picture: Picture, searches_limit: int | None = None) -> list[Face]:
        """Return all faces, also small ones beside large ones, the largest first.

        Slower than `find`.

        Args:
            picture: RGB, shape (H, W, 3).
            searches_limit: How many searches to make, the cheapest first; `None` for all. Two
                take a tenth of the time, and miss small faces.
        """
        searches = itertools.islice(self._detector.searches(picture), searches_limit)
        return self._measure_all(picture, itertools.chain.from_iterable(searches))

    def _measure_all(self, picture: Picture, detections: Iterable[Detection]) -> list[Face]:
        """Return the accepted faces, each once, by its most plausible reading.

        A face that two readings show in different ways up is refused, unless one of them is
        clearly more plausible.
        """
        found = filter(None, (self._measure(picture, detection) for detection in detections))
        people: list[list[tuple[Face, UprightReading]]] = []
        for face, upright in sorted(found, key=lambda measured: -measured[1].plausibility):
            for readings in people:
                if _same_person(face, readings[0][0]):
                    readings.append((face, upright))
                    break
            else:
                people.append([(face, upright)])
        faces = [
            best
            for (best, upright), *others in people
            if all(upright.is_clearly_better_than(other) for _, other in others)
        ]
        return sorted(faces, key=lambda face: -face.area)

    def _measure(
        self, picture: Picture, detection: Detection
    ) -> tuple[Face, UprightReading] | None:
        upright = measure_upright(self._mesh, picture, FaceSquare.around_detection(detection))
        if upright is None:
            return None
        face = Face(upright.reading.points, upright.reading.score)
        fits = _is_inside if upright.turned else _agrees
        return (face, upright) if face.score >= MIN_SCORE and fits(face, detection) else None


def _agrees(face: Face, detection: Detection) -> bool:
    """Return whether eyes, nose and mouth are near the detector's key points."""
    points = face.landmarks[[lm.IRIS_LEFT[0], lm.IRIS_RIGHT[0], lm.NOSE_TIP, lm.LIP_INNER_TOP], :2]
    offsets = points - detection.key_points[:4]
    disagreement = np.hypot(offsets[:, 0], offsets[:, 1]).mean() / detection.size.max()
    return bool(disagreement <= MAX_DISAGREEMENT)


def _is_inside(face: Face, detection: Detection) -> bool:
    """Return whether a face is in the detector's box, whichever way up."""
    offset = np.hypot(*(face.centre - detection.centre)) / detection.size.max()
    return bool(offset <= MAX_OFFSET)


def _same_person(one: Face, other: Face) -> bool:
    return one.contains(other.centre) or other.contains(one.centre)
